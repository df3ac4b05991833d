/** Serves the pages over real HTTP from fixed data, without a coordinator behind: for tests and for looking at. */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Context } from '../../context.ts';
import type { Principal } from '../../http/principal.ts';
import type { RouteInput } from '../../http/route.ts';
import { isAppError, STATUS_OF_KIND } from '@dc/shared/errors';
import { webRoutes } from '../web-routes.ts';
import type { WebData } from '../web-data.ts';
import { ACCOUNT, previewData, PREVIEW_NOW } from './preview-data.ts';

/** What is served, and to whom. */
export interface PreviewOptions {
  data?: WebData;
  /** Whether the reader is signed in. */
  signedIn?: boolean;
  port?: number;
}

/** A server that listens. */
export interface Preview {
  url: string;
  stop(): Promise<void>;
}

/** Starts it on loopback. */
export async function startPreview(options: PreviewOptions = {}): Promise<Preview> {
  // Event streams never end by themselves.
  const app = fastify({ forceCloseConnections: true });
  const principal: Principal =
    options.signedIn === true
      ? { kind: 'account', account: ACCOUNT.pubkey, publicKey: null, isProvider: false, isAdmin: false }
      : { kind: 'anonymous' };
  const data = options.data ?? previewData();
  addPages(app, data, principal);
  addApi(app, data, principal);
  const url = await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  return { url, stop: () => app.close() };
}

function addPages(app: FastifyInstance, data: WebData, principal: Principal): void {
  // The pages take the time and a log from the context, and nothing else.
  const context = {
    clock: { now: () => PREVIEW_NOW },
    log: { error: () => undefined },
  } as unknown as Context;
  for (const route of webRoutes(context, data)) {
    if (route.kind !== 'stream') throw new Error('pages write their own answers');
    app.get(route.url, async (request, reply) => {
      try {
        await route.handle(inputOf(request, reply, principal));
      } catch (error) {
        if (!isAppError(error)) throw error;
        await reply.code(STATUS_OF_KIND[error.kind]).send(error.code);
      }
      return reply;
    });
  }
}

function inputOf(request: FastifyRequest, reply: FastifyReply, principal: Principal): RouteInput {
  const { params, query, body } = request;
  const raw = { request, reply };
  return { principal, params, query, body, now: PREVIEW_NOW, traceId: 'preview', authority: '', raw };
}

/** As much of the API as a page asks for while it is looked at. */
function addApi(app: FastifyInstance, data: WebData, principal: Principal): void {
  const find = async (request: FastifyRequest) => {
    const { id } = request.params as { id: string };
    return principal.kind === 'account' ? data.findContract(principal, id) : null;
  };
  app.get('/api/v1/contracts/:id', async (request) => find(request));
  app.get('/api/v1/contracts/:id/events', async (request, reply) => {
    const contract = await find(request);
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
    reply.raw.write(
      `event: contract\nid: ${String(contract?.version)}\ndata: ${JSON.stringify(contract)}\n\n`,
    );
  });
}
