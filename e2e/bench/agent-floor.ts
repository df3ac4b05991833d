/**
 * The floor of the `agents` benchmark, a process of its own: Node's bare HTTP server, which holds the same connections,
 * writes the same nudges and answers at once. It verifies nothing, keeps nothing and knows nobody. A path begins with the
 * pool that it is about. Usage: node agent-floor.ts PORT
 */
import { createServer, type ServerResponse } from 'node:http';
import type { WireHeartbeatAnswer } from '@dc/shared/wire/agent';
import { connectionLimits, Connections } from '../../coordinator/src/http/connections.ts';
import { openFilesMax } from '../../coordinator/src/lib/open-files.ts';

const INTERVAL_MS = 15_000;
const NUDGE = 'event: work\ndata: {}\n\n';

const streams = new Map<string, Set<ServerResponse>>();

function open(poolId: string, response: ServerResponse): void {
  const ofPool = streams.get(poolId) ?? new Set();
  streams.set(poolId, ofPool.add(response));
  response.once('close', () => ofPool.delete(response));
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write('event: hello\ndata: {}\n\n');
}

function answer(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const server = createServer((request, response) => {
  const [, poolId = '', ...path] = (request.url ?? '').split('/');
  request.resume();
  request.once('end', () => {
    switch (path.at(-1)) {
      case 'stream':
        open(poolId, response);
        return;
      case 'heartbeat':
        answer(response, {
          ...{ server_time: new Date().toISOString(), next_interval_ms: INTERVAL_MS },
          ...{ open_work: 0, records_held: 0 },
        } satisfies WireHeartbeatAnswer);
        return;
      case 'nudge': {
        const at = Date.now();
        for (const stream of streams.get(poolId) ?? []) stream.write(NUDGE);
        answer(response, { at });
        return;
      }
      default:
        answer(response, { leases: [] });
    }
  });
});
server.keepAliveTimeout = 72_000;
// Else it would hold more connections than it may, which the coordinator does not do either.
new Connections(server, connectionLimits(openFilesMax()).connections, () => undefined);
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.send?.('ready'));
