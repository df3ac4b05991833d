import { connect } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { beat, expectStatus, makeAccount, makeAgent, makeProvider } from './testing/people.ts';
import { startTestCoordinator, until } from './testing/test-coordinator.ts';

describe('a coordinator that stops', () => {
  it('leaves no timer, and answers nobody any more', async () => {
    const coordinator = await startTestCoordinator({ config: { metricsPort: 0 } });
    const { url, metricsUrl } = await coordinator.listen();
    await makeAccount(coordinator, 'ada');
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    await coordinator.stop(1000);
    expect(coordinator.clock.timerCount).toBe(0);
    await expect(fetch(`${url}/health/ready`)).rejects.toThrow();
    await expect(fetch(metricsUrl ?? '')).rejects.toThrow();
    await coordinator.stop(1000);
  });

  it('ends the streams of its agents', async () => {
    const coordinator = await startTestCoordinator();
    const { url } = await coordinator.listen();
    const provider = await makeProvider(coordinator, 'prov');
    const agent = await makeAgent(coordinator, provider);
    await beat(coordinator, agent);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    let text = '';
    let isClosed = false;
    socket.on('data', (chunk: Buffer) => (text += chunk.toString())).on('close', () => (isClosed = true));
    const lines = Object.entries(coordinator.client.sign('GET', '/agents/stream', '', agent));
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    socket.write(`GET /api/v1/agents/stream HTTP/1.1\r\nHost: 127.0.0.1:8787\r\n${head}\r\n`);
    await until(() => text.includes('event: hello'));
    await coordinator.stop(1000);
    await until(() => isClosed);
  });

  it('does not wait for ever for a request that never ends', async () => {
    const coordinator = await startTestCoordinator();
    const { url } = await coordinator.listen();
    const seen = new Promise((resolve) => coordinator.app.server.once('request', resolve));
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    let isClosed = false;
    socket.on('close', () => (isClosed = true)).on('error', () => (isClosed = true));
    socket.write(
      'POST /api/v1/sessions/challenge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    );
    await seen;
    const stopped = coordinator.stop(5000);
    await coordinator.clock.advance(4999);
    expect(isClosed).toBe(false);
    await coordinator.clock.advance(1);
    await stopped;
    await until(() => isClosed);
  });
});

describe('a coordinator that restarts', () => {
  it('has the same key and the same accounts', async () => {
    const first = await startTestCoordinator();
    const key = await makeAccount(first, 'ada');
    await first.stop(0);
    const second = await startTestCoordinator({ folder: first.folder, clock: first.clock });
    expect(second.context.key.publicKey).toBe(first.context.key.publicKey);
    expectStatus(await second.client.get('/accounts/me', { key }), 200);
  });
});
