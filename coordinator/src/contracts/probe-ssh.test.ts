import { afterEach, describe, expect, it } from 'vitest';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import {
  closedPort,
  makeHostKey,
  pretendHostKey,
  startOtherServer,
  startSshServer,
  type HostKeyType,
} from '../testing/ssh-server.ts';
import { probeHostKey } from './probe-ssh.ts';

const clock = new ManualClock();
afterEach(() => {
  expect(clock.timerCount).toBe(0);
});

const probe = (port: number, keyType = 'ssh-ed25519') =>
  probeHostKey({ host: '127.0.0.1', port, keyType, timeoutMs: 5000 }, clock);

describe('a look at an SSH server', () => {
  it.each<[HostKeyType]>([['ed25519'], ['ecdsa'], ['rsa']])('sees its %s key', async (type) => {
    const key = makeHostKey(type);
    const seen = await probe(await startSshServer([key.parsed]), key.parsed.type);
    expect(seen).toBe(parseSshPublicKey(key.line).fingerprint);
  });

  it('asks a server with several keys for the one that was reported', async () => {
    const keys = { ed25519: makeHostKey('ed25519'), ecdsa: makeHostKey('ecdsa'), rsa: makeHostKey('rsa') };
    const port = await startSshServer(Object.values(keys).map(({ parsed }) => parsed));
    for (const { line } of Object.values(keys)) {
      const { type, fingerprint } = parseSshPublicKey(line);
      expect(await probe(port, type)).toBe(fingerprint);
    }
  });

  it('sees the key of a server that has none of the reported type', async () => {
    const key = makeHostKey('ecdsa');
    const seen = await probe(await startSshServer([key.parsed]), 'ssh-ed25519');
    expect(seen).toBe(parseSshPublicKey(key.line).fingerprint);
  });

  it('does not believe a key that the server only shows and cannot sign with', async () => {
    const pretended = pretendHostKey(makeHostKey(), makeHostKey());
    await expect(probe(await startSshServer([pretended]))).rejects.toMatchObject({
      code: 'INSTANCE_UNREACHABLE',
    });
  });

  it('finds nothing where nobody listens', async () => {
    await expect(probe(await closedPort())).rejects.toMatchObject({ code: 'INSTANCE_UNREACHABLE' });
  });

  it.each([
    ['something else answers', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
    ['the server never gets to its key', 'SSH-2.0-tarpit\r\n'],
  ])('gives up where %s', async (_, greeting) => {
    const server = await startOtherServer(greeting);
    const answer = expect(probe(server.port)).rejects.toMatchObject({ code: 'INSTANCE_UNREACHABLE' });
    await server.visited;
    await clock.advance(5000);
    await answer;
  });
});
