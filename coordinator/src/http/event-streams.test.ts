/** Over real sockets: how a stream begins, ends and is cut is a matter of the connection. */
import { connect, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { onTestFinished, describe, expect, it } from 'vitest';
import { until } from '../testing/test-coordinator.ts';
import { EventStreams, type EventStream } from './event-streams.ts';

interface Setup {
  app: FastifyInstance;
  clock: ManualClock;
  streams: EventStreams;
  opened: EventStream[];
  port: number;
}

async function listen(): Promise<Setup> {
  const clock = new ManualClock();
  const streams = new EventStreams(clock, 100);
  const opened: EventStream[] = [];
  const app = fastify({ forceCloseConnections: 'idle' });
  app.get('/events', (request, reply) => {
    void reply.header('trace-id', 'abc');
    opened.push(streams.open(reply, String(request.headers['x-caller'] ?? 'ada'), 1500));
  });
  app.addHook('preClose', async () => streams.closeAll());
  await app.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => app.close());
  return { app, clock, streams, opened, port: (app.server.address() as AddressInfo).port };
}

/** A client that reads what comes, or does not. */
function subscribe(
  port: number,
  caller = 'ada',
): { socket: Socket; text: () => string; isClosed: () => boolean } {
  let text = '';
  let isClosed = false;
  const socket = connect(port, '127.0.0.1');
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => (text += chunk));
  socket.on('close', () => (isClosed = true));
  socket.on('error', () => (isClosed = true));
  socket.write(`GET /events HTTP/1.1\r\nHost: x\r\nX-Caller: ${caller}\r\n\r\n`);
  onTestFinished(() => void socket.destroy());
  return { socket, text: () => text, isClosed: () => isClosed };
}

describe('a stream', () => {
  it('sends events as browsers read them, after the headers of the route', async () => {
    const { port, opened } = await listen();
    const client = subscribe(port);
    await until(() => opened.length === 1);
    expect(opened[0]?.send({ event: 'contract', id: '7', data: { state: 'active', note: 'a\nb' } })).toBe(
      true,
    );
    opened[0]?.send({ event: 'work\nevent: forged', data: null });
    await until(() => client.text().includes('data: null'));
    expect(client.text()).toContain('content-type: text/event-stream; charset=utf-8');
    expect(client.text()).toContain('trace-id: abc');
    expect(client.text()).toContain('retry: 1500\n\n');
    expect(client.text()).toContain('id: 7\nevent: contract\ndata: {"state":"active","note":"a\\nb"}\n\n');
    expect(client.text()).toContain('event: work event: forged\ndata: null\n\n');
  });

  it('says every 15 s that it is alive, and sets no timer where there is none', async () => {
    const { port, clock, opened } = await listen();
    expect(clock.timerCount).toBe(0);
    const client = subscribe(port);
    await until(() => opened.length === 1);
    await clock.advance(14_999);
    expect(client.text()).not.toContain('\n:\n\n');
    await clock.advance(1);
    await until(() => client.text().includes('\n:\n\n'));
    await clock.advance(15_000);
    await until(() => client.text().split('\n:\n\n').length === 3);
    opened[0]?.close();
    expect(clock.timerCount).toBe(0);
  });

  it('tells its owner when the client goes', async () => {
    const { port, opened, streams } = await listen();
    const client = subscribe(port);
    await until(() => opened.length === 1);
    client.socket.destroy();
    await until(() => opened[0]?.signal.aborted === true);
    expect(opened[0]?.send({ event: 'x', data: 1 })).toBe(false);
    expect(streams.size).toBe(0);
  });

  it('is cut where the client does not read, and holds no more than a bounded buffer until then', async () => {
    const { port, opened, streams } = await listen();
    const client = subscribe(port);
    await until(() => opened.length === 1);
    client.socket.pause();
    const data = 'x'.repeat(64 * 1024);
    let sent = 0;
    while (opened[0]?.send({ event: 'x', data }) === true && sent < 10_000) {
      sent += 1;
      if (sent % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sent).toBeLessThan(10_000);
    expect(opened[0]?.signal.aborted).toBe(true);
    expect(streams.size).toBe(0);
  });

  it('does not keep the server from closing, nor is one opened then', async () => {
    const { app, port, opened, streams } = await listen();
    const clients = [subscribe(port), subscribe(port)];
    await until(() => opened.length === 2);
    await app.close();
    await until(() => clients.every((client) => client.isClosed()));
    expect(opened.every(({ signal }) => signal.aborted)).toBe(true);
    expect(() => streams.open({} as never, 'ada', 1)).toThrow('No more streams');
  });

  it('is one of fifty of a caller at most', async () => {
    const { port, opened } = await listen();
    for (let count = 0; count < 50; count += 1) subscribe(port);
    await until(() => opened.length === 50);
    const refused = subscribe(port);
    await until(() => refused.text().includes('HTTP/1.1 500'));
    const other = subscribe(port, 'bob');
    await until(() => other.text().includes('HTTP/1.1 200'));
    opened[0]?.close();
    const again = subscribe(port);
    await until(() => again.text().includes('HTTP/1.1 200'));
  });
});
