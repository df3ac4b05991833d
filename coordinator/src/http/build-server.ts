/**
 * The HTTP server: Fastify for sockets, routing and bodies, and one `RouteRunner` for each declared route. Everything
 * that goes wrong becomes a problem document here. Fastify's own validator and serializer are not used: TypeBox
 * checks what comes in, as the agent does, and answers are plain JSON.
 */
import { isUtf8 } from 'node:buffer';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { AppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import type { Context } from '../context.ts';
import { answerBrokenRequest, answerError, BODY_LIMIT_BYTES, type SendErrorPage } from './answer-error.ts';
import { hasCredential } from './credential.ts';
import { Connections } from './connections.ts';
import { errorsPageRoute } from './errors-page.ts';
import { findAllowedMethods } from './allowed-methods.ts';
import { describeUnreadable, findUnsupported } from './json-body.ts';
import { openApiRoute } from './openapi.ts';
import { OwnAuthorities } from './own-authorities.ts';
import { RateLimits } from './rate-limits.ts';
import type { Route } from './route.ts';
import { RouteRunner, type RouteServices } from './run-route.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The bytes of the body as they came in, for the digest. */
    rawBody: Buffer | undefined;
    /** Why the body could not be read: thrown when it is known who asks. */
    bodyProblem: AppError | undefined;
    /** The declared route; null where none matched. */
    runner: RouteRunner | null;
    /** Who it turned out to be, for the log. */
    actor: string | undefined;
    /** The error that was answered, for the log. */
    problem: AppError | undefined;
  }
}

/** What became of a request. */
export interface Answered {
  /** The pattern of the route: `(none)` where none matched. */
  route: string;
  method: string;
  status: number;
  seconds: number;
  /** True for answers that last as long as the client stays. */
  isStream: boolean;
}

/** What the wiring adds to a server. */
export interface ServerOptions {
  /** How many connections it may hold; as many as come, unless given. */
  connectionsMax?: number;
  /** Told of every answer, for metrics. */
  onAnswer?: (answer: Answered) => void;
  sendErrorPage?: SendErrorPage;
  /** For tests: answers and errors that a route did not declare are INTERNAL_BUGs. */
  checksAnswers?: boolean;
}

/** For the whole of a request to come in: a batch of records over a bad line takes seconds. */
const REQUEST_TIMEOUT_MS = 30_000;
/** Longer than a proxy keeps an idle connection (60 s), so that it is never us who cut one as it is used again. */
const KEEP_ALIVE_MS = 72_000;
const REFUSALS_SAID_EVERY_MS = 60_000;
/** Of one segment of a path, decoded: longer than any id or key, so that a wrong one is refused by its route's schema. */
const PARAMETER_LENGTH_MAX = 1024;

/** Builds the server of `routes`, and of the two that describe them (OpenAPI, error codes). Listens to nothing yet. */
export function buildServer(
  context: Context,
  routes: readonly Route[],
  options: ServerOptions = {},
): FastifyInstance {
  const { config, clock, random } = context;
  const { sendErrorPage } = options;
  const services: RouteServices = {
    context,
    own: new OwnAuthorities(config.publicUrl, config.listen.host),
    limits: new RateLimits(clock, config.rateLimits),
    checksAnswers: options.checksAnswers === true,
  };
  const headers = securityHeaders(config.publicUrl);
  const report = (request: FastifyRequest, reply: FastifyReply): void => {
    reportAnswer(services, options, request, reply);
  };
  const app = fastify({
    logger: false,
    genReqId: () => toHex(random.bytes(8)),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    trustProxy: config.trustedProxies.length === 0 ? false : [...config.trustedProxies],
    routerOptions: { maxParamLength: PARAMETER_LENGTH_MAX },
    // What Fastify refuses before there is a route: no hook runs for it.
    frameworkErrors(error, request, reply) {
      void reply.headers(headers).header('trace-id', request.id);
      void answerError({ services, sendErrorPage }, error, request, reply);
      report(request, reply);
    },
    clientErrorHandler: answerBrokenRequest,
    schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
  });
  if (config.listen.port !== 0) services.own.listensOn(config.listen.port);

  app.decorateRequest('rawBody', undefined);
  app.decorateRequest('bodyProblem', undefined);
  app.decorateRequest('runner', null);
  app.decorateRequest('actor', undefined);
  app.decorateRequest('problem', undefined);
  takeOnlyJson(app);
  addHooks(app, services, { headers, report, connectionsMax: options.connectionsMax ?? Infinity });

  const all = [...routes, openApiRoute(routes), errorsPageRoute()];
  for (const route of all) addRoute(app, new RouteRunner(route, services), services);
  app.setNotFoundHandler((request, reply) => answerNotFound(services, all, request, reply));
  app.setErrorHandler((error, request, reply) =>
    answerError({ services, sendErrorPage }, error, request, reply),
  );
  return app;
}

/** Nothing has a schema that Fastify knows of, so that it need not load its compilers either. */
const noCompiler = (): never => {
  throw new Error('schemas are checked by run-route.ts');
};

function addRoute(app: FastifyInstance, runner: RouteRunner, services: RouteServices): void {
  const { route } = runner;
  app.route({
    method: route.method,
    url: route.url,
    bodyLimit: route.bodyLimitBytes ?? BODY_LIMIT_BYTES,
    exposeHeadRoute:
      route.method === 'GET' && !(route.kind === 'stream' && route.produces === 'text/event-stream'),
    onRequest(request, _reply, done) {
      request.runner = runner;
      if (route.isExemptFromRateLimits !== true) countBeforeReading(services, request);
      runner.assertMayBeAnonymous(request);
      done();
    },
    handler: (request, reply) => runner.run(request, reply),
  });
}

/** Keeps the bytes for the digest, takes JSON only, and notes what is wrong with it for when it is known who asks. */
function takeOnlyJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, bytes: Buffer, done) => {
    if (bytes.length === 0) {
      done(null, undefined);
      return;
    }
    request.rawBody = bytes;
    const refuse = (error: AppError): void => {
      request.bodyProblem = error;
      done(null, undefined);
    };
    const unsupported = findUnsupported(request.headers);
    if (unsupported !== null) refuse(new AppError('REQUEST_TYPE_UNSUPPORTED', unsupported));
    else if (!isUtf8(bytes)) refuse(new AppError('REQUEST_MALFORMED', 'The body is not UTF-8.'));
    else {
      const text = bytes.toString('utf8');
      void parse(request, text, (error, body) => {
        if (error === null) done(null, body);
        else refuse(new AppError('REQUEST_MALFORMED', describeUnreadable(text), { cause: error }));
      });
    }
  });
}

interface AnswerHooks {
  /** Headers of every answer. */
  headers: Record<string, string>;
  /** Called once for each answer, when it is sent. */
  report: (request: FastifyRequest, reply: FastifyReply) => void;
  connectionsMax: number;
}

function addHooks(
  app: FastifyInstance,
  services: RouteServices,
  { headers, report, connectionsMax }: AnswerHooks,
): void {
  app.addHook('onRequest', (request, reply, done) => {
    void reply.headers(headers).header('trace-id', request.id);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    report(request, reply);
    done();
  });
  app.addHook('onListen', function (done) {
    const address = this.server.address();
    if (typeof address === 'object' && address !== null) services.own.listensOn(address.port);
    done();
  });
  const connections = new Connections(app.server, connectionsMax, warnOfRefusals(services.context));
  // Streams never end by themselves, and closing waits for every answer.
  app.addHook('preClose', (done) => {
    services.context.streams.closeAll();
    connections.close();
    done();
  });
}

/** Says that connections were refused: once a minute, because they come in crowds. */
function warnOfRefusals({ clock, log }: Context): () => void {
  let saidAt = -Infinity;
  return () => {
    if (clock.monotonic() - saidAt < REFUSALS_SAID_EVERY_MS) return;
    saidAt = clock.monotonic();
    log.warn('connections are refused: the limit of open files is reached (LimitNOFILE, ulimit -n)');
  };
}

/** Logs an answer, and counts it. */
function reportAnswer(
  { context: { log } }: RouteServices,
  { onAnswer }: ServerOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { runner, problem, actor } = request;
  const { statusCode: status, elapsedTime: ms } = reply;
  const route = runner?.route.url ?? '(none)';
  const isStream = runner?.route.kind === 'stream' && runner.route.produces === 'text/event-stream';
  onAnswer?.({ route, method: request.method, status, seconds: ms / 1000, isStream });
  // The path without its query, which may hold what is nobody's business.
  const path = (request.raw.url ?? '').split('?', 1)[0];
  const fields = { traceId: request.id, method: request.method, route, path, status, ms, actor };
  if (status >= 500) log.error({ ...fields, code: problem?.code, err: problem }, 'request failed');
  // Whoever is turned away for coming too often must not be able to fill the log.
  else if (problem !== undefined && status !== 429)
    log.info({ ...fields, code: problem.code, detail: problem.message }, 'request refused');
  else log.debug(fields, 'request answered');
}

/** Headers of every answer; a route may set its own over them. */
function securityHeaders(publicUrl: string): Record<string, string> {
  return {
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
    ...(publicUrl.startsWith('https:') ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  };
}

function countBeforeReading({ limits }: RouteServices, request: FastifyRequest): void {
  if (hasCredential(request.raw.headers)) limits.assertMayTry(request.ip);
  else limits.countAnonymous(request.ip);
}

function answerNotFound(
  services: RouteServices,
  routes: readonly Route[],
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  countBeforeReading(services, request);
  const path = (request.raw.url ?? '').split('?', 1)[0] ?? '';
  const methods = findAllowedMethods(routes, path);
  if (methods.length === 0) throw new AppError('ROUTE_NOT_FOUND');
  void reply.header('allow', methods.join(', '));
  throw new AppError('METHOD_NOT_ALLOWED', `${path} takes ${methods.join(', ')}.`);
}
