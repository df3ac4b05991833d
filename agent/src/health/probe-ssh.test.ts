import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import ssh2 from 'ssh2';
import { isAppError } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../lib/system-clock.ts';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { describeHostKey, openSshPrivateKey, publicKeyOfSeed } from '../provisioners/ssh-host-key.ts';
import { probeSshOn, readHostKey } from './probe-ssh.ts';
import { readBanner } from './read-banner.ts';

const never = new AbortController().signal;
const options = { clock: systemClock, signal: never };
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A real SSH server with a new host key that lets nobody in. */
async function sshServer(): Promise<{ port: number; hostKey: string; logins: string[] }> {
  const seed = randomBytes(32);
  const pem = openSshPrivateKey(seed);
  const line = describeHostKey(publicKeyOfSeed(seed)).hostKey;
  const logins: string[] = [];
  const server = new ssh2.Server({ hostKeys: [pem] }, (client) => {
    client.on('error', () => undefined);
    client.on('authentication', (context) => {
      logins.push(context.username);
      context.reject();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return {
    port: (server.address() as AddressInfo).port,
    hostKey: line.split(' ').slice(0, 2).join(' '),
    logins,
  };
}

/** A server that does with each connection what it is told. */
async function tcpServer(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const port = await tcpServer(() => undefined);
  await closing.pop()?.();
  return port;
}

describe('the host key of an SSH server', () => {
  it('is read without logging in', async () => {
    const server = await sshServer();
    const seen = await readHostKey({ host: '127.0.0.1', port: server.port }, options);
    expect(seen.hostKey).toBe(server.hostKey);
    expect(seen.fingerprint).toBe(parseSshPublicKey(server.hostKey).fingerprint);
    expect(seen.latencyMs).toBeGreaterThan(0);
    expect(server.logins).toEqual([]);
  });

  it('is what the sagas get', async () => {
    const server = await sshServer();
    expect(await probeSshOn(systemClock)({ host: '127.0.0.1', port: server.port }, never)).toEqual({
      answered: true,
      hostKeyFingerprint: parseSshPublicKey(server.hostKey).fingerprint,
    });
  });

  it.each<[string, (socket: Socket) => void, string]>([
    ['closes at once', (socket) => socket.destroy(), 'does not speak SSH'],
    ['speaks HTTP', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), ''],
    ['sends garbage after its version', (socket) => socket.write(`SSH-2.0-x\r\n${'x'.repeat(99)}`), ''],
  ])('is not to be had of a server that %s', async (_what, behave, why) => {
    const port = await tcpServer(behave);
    const probe = await probeSshOn(systemClock)({ host: '127.0.0.1', port }, never);
    expect(probe).toMatchObject({ answered: false });
    expect(probe.answered ? '' : probe.why).toContain(why);
  });

  it('is not to be had where nothing listens', async () => {
    const probe = await probeSshOn(systemClock)({ host: '127.0.0.1', port: await freePort() }, never);
    expect(probe).toEqual({ answered: false, why: 'nothing listens on its SSH port' });
  });

  it('is waited for up to a deadline, or until the wait is stopped', async () => {
    let connected = (): void => undefined;
    const isConnected = new Promise<void>((resolve) => (connected = resolve));
    const port = await tcpServer(() => connected());
    const clock = new ManualClock();
    const late = probeSshOn(clock)({ host: '127.0.0.1', port }, never);
    await isConnected;
    await clock.advance(10_000);
    expect(await late).toEqual({ answered: false, why: 'it did not answer in time' });
    const controller = new AbortController();
    const stopped = readHostKey({ host: '127.0.0.1', port }, { clock, signal: controller.signal });
    controller.abort();
    await expect(stopped).rejects.toSatisfy((error) => isAppError(error, 'SAGA_ABORTED'));
    expect(clock.timerCount).toBe(0);
  });
});

describe('the banner of an SSH server', () => {
  it('is read, also after other lines', async () => {
    const server = await sshServer();
    expect(await readBanner({ host: '127.0.0.1', port: server.port }, options)).toBeGreaterThan(0);
    const chatty = await tcpServer((socket) => socket.write('Welcome.\r\nSSH-2.0-other\r\n'));
    expect(await readBanner({ host: '127.0.0.1', port: chatty }, options)).toBeGreaterThan(0);
  });

  it.each<[string, (socket: Socket) => void]>([
    ['closes at once', (socket) => socket.destroy()],
    ['speaks something else', (socket) => socket.write('x'.repeat(5_000))],
  ])('is not to be had of a server that %s', async (_what, behave) => {
    const port = await tcpServer(behave);
    await expect(readBanner({ host: '127.0.0.1', port }, options)).rejects.toSatisfy((error) =>
      isAppError(error, 'INSTANCE_UNREACHABLE'),
    );
  });

  it('is waited for up to a deadline', async () => {
    let connected = (): void => undefined;
    const isConnected = new Promise<void>((resolve) => (connected = resolve));
    const port = await tcpServer(() => connected());
    const clock = new ManualClock();
    const late = readBanner({ host: '127.0.0.1', port }, { clock, signal: never });
    const judged = expect(late).rejects.toSatisfy((error) => isAppError(error, 'INSTANCE_UNREACHABLE'));
    await isConnected;
    await clock.advance(10_000);
    await judged;
    expect(clock.timerCount).toBe(0);
  });
});
