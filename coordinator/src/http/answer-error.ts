/** Answers what went wrong: as a problem document, as a page where a person is looking, or on the bare socket. */
import type { Socket } from 'node:net';
import type { ConnectionError, FastifyReply, FastifyRequest } from 'fastify';
import { AppError, type ErrorCode } from '@dc/shared/errors';
import { errorsOf } from './common-errors.ts';
import { hasCredential } from './credential.ts';
import { PROBLEM_TYPE, problemOf, toAppError } from './problem.ts';
import type { RouteInput } from './route.ts';
import type { RouteServices } from './run-route.ts';

/** The largest body taken unless a route says otherwise. */
export const BODY_LIMIT_BYTES = 64 * 1024;

/** Answers a browser that asked for a page with a page for the error. */
export type SendErrorPage = (input: Pick<RouteInput, 'raw' | 'traceId'>, error: AppError) => Promise<void>;

/** Answers a request that was thrown out of, and counts it where its credential did not hold. */
export function answerError(
  { services, sendErrorPage }: { services: RouteServices; sendErrorPage: SendErrorPage | undefined },
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const error = declaredOrBug(services, thrown, request);
  if (isRefusal(error) && hasCredential(request.raw.headers)) services.limits.countRefused(request.ip);
  request.problem = error;
  const { status, headers, body } = problemOf(error, request.id);
  void reply.code(status).headers(headers);
  if (sendErrorPage === undefined || !wantsPage(request)) return reply.send(JSON.stringify(body));
  sendErrorPage({ raw: { request, reply }, traceId: request.id }, error).catch((pageError: unknown) => {
    services.context.log.error({ err: pageError, traceId: request.id }, 'the page for an error failed');
    if (!reply.sent) void reply.code(status).headers(headers).send(JSON.stringify(body));
  });
  return reply;
}

/** Whether the credential is what is wrong, so that its sender has to slow down. */
const isRefusal = ({ kind, code }: AppError): boolean =>
  kind === 'unauthenticated' || kind === 'denied' || code === 'KEY_WEAK' || code === 'REQUEST_MISDIRECTED';

/** The error of what was thrown; in tests a bug where the route does not declare it. */
function declaredOrBug({ checksAnswers }: RouteServices, thrown: unknown, request: FastifyRequest): AppError {
  const route = request.runner?.route;
  const error = toAppError(thrown, route?.bodyLimitBytes ?? BODY_LIMIT_BYTES);
  if (!checksAnswers || route === undefined || errorsOf(route).includes(error.code)) return error;
  return new AppError('INTERNAL_BUG', `The route does not declare ${error.code}.`, { cause: thrown });
}

/** Whether a person is looking: a browser says so, and the API is for programs. */
function wantsPage(request: FastifyRequest): boolean {
  const path = request.raw.url ?? '';
  if (path.startsWith('/api/') || path.startsWith('/health/')) return false;
  return request.method === 'GET' && (request.headers.accept ?? '').includes('text/html');
}

/** What Node's parser says where there is more to say than that it cannot be read. */
const BROKEN: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'REQUEST_HEADERS_TOO_LARGE',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'REQUEST_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMED_OUT',
};

/** What is not even HTTP never becomes a request: answered on the socket itself. */
export function answerBrokenRequest(error: ConnectionError, socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status, body } = problemOf(new AppError(BROKEN[error.code] ?? 'REQUEST_UNREADABLE'), '-');
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${String(status)} ${body.code}\r\ncontent-type: ${PROBLEM_TYPE}\r\nconnection: close\r\ncontent-length: ${String(Buffer.byteLength(text))}\r\n\r\n${text}`,
  );
}
