/** Serves /metrics on loopback: how busy we are is nobody's business on the public address. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AppError } from '@dc/shared/errors';
import { OPENMETRICS_TYPE, type MetricsRegistry } from './metrics-registry.ts';

const HOST = '127.0.0.1';

/** A listener that is up. */
export interface MetricsServer {
  url: string;
  close(): Promise<void>;
}

/** Listens on `port` (0: any). Throws PORT_IN_USE. */
export async function listenMetrics(registry: MetricsRegistry, port: number): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    // `render` leaves out what fails, so that nothing is left to catch but our own bugs, which end the process.
    void registry.render().then((text) => {
      response.writeHead(200, { 'content-type': OPENMETRICS_TYPE }).end(text);
    });
  });
  await listen(server, port);
  const { port: actual } = server.address() as AddressInfo;
  return {
    url: `http://${HOST}:${String(actual)}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new AppError('PORT_IN_USE', `The metrics port ${String(port)} is in use.`, {
              remedy: 'Set another metrics.port in the configuration, or metrics.enabled = false.',
            })
          : error,
      );
    });
    server.listen(port, HOST, resolve);
  });
}
