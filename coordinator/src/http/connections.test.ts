import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectionLimits, Connections } from './connections.ts';

/** A server that answers at once; its connections are limited to `max`. */
async function startServer(max: number): Promise<{ port: number; refused: () => number }> {
  const server: Server = createServer((_request, response) => response.end('ok'));
  let refused = 0;
  new Connections(server, max, () => (refused += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { port: (server.address() as AddressInfo).port, refused: () => refused };
}

/** A connection that asks once. Resolves with the answer's head, or null where the connection was closed without one. */
function ask(port: number): Promise<{ socket: Socket; head: string | null }> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.on('error', () => undefined); // A reset is as good as a close here.
    socket.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n');
    socket.once('data', (data) => resolve({ socket, head: data.toString() }));
    socket.once('close', () => resolve({ socket, head: null }));
  });
}

describe('connections', () => {
  it('are kept while there is room, and end with their answer where it is crowded', async () => {
    const { port, refused } = await startServer(25);
    const kept: (string | null)[] = [];
    for (let count = 1; count <= 23; count += 1) kept.push((await ask(port)).head);
    expect(kept.filter((head) => head?.includes('Connection: keep-alive'))).toHaveLength(23);
    // The next is 96 % of what there may be: from here on each makes room again, so that nobody is refused.
    for (let count = 1; count <= 5; count += 1) {
      const { socket, head } = await ask(port);
      expect(head).toContain('Connection: close');
      if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(refused()).toBe(0);
  });

  it('are refused at the limit, so that files are left for the database', async () => {
    const { port, refused } = await startServer(3);
    const silent = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'));
    for (const socket of silent) {
      onTestFinished(() => void socket.destroy());
      await new Promise((resolve) => socket.once('connect', resolve));
    }
    expect((await ask(port)).head).toBeNull();
    expect(refused()).toBe(1);
  });
});

describe('the limits', () => {
  it('leave files for the database, and connections for those that are no streams', () => {
    expect(connectionLimits(20_000)).toEqual({ connections: 19_872, streams: 14_904 });
    expect(connectionLimits(null).streams).toBeGreaterThan(40_000);
    expect(connectionLimits(100).connections).toBe(16);
  });
});
