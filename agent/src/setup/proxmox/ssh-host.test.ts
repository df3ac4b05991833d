import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { openSshPrivateKey } from '../../provisioners/ssh-host-key.ts';
import { shellLine, type Host, type HostCommand } from './host.ts';
import { LocalHost } from './local-host.ts';
import { openSsh } from './open-host.ts';
import { assertHostKey, knownHostsLine, parseSshTarget, seeHostKey, SshHost } from './ssh-host.ts';

const signal = new AbortController().signal;
let server: ssh2.Server | null = null;
let home: string;
let ran: string[];
let here: Host;

/** A machine that lets everybody in and only says what it was asked to run. */
async function listen(port = 0): Promise<number> {
  const listening = new ssh2.Server({ hostKeys: [openSshPrivateKey(systemRandom.bytes(32))] }, (client) => {
    client.on('error', () => undefined); // Who only looks at the key hangs up.
    client.on('authentication', (context) => context.accept());
    client.on('session', (accept) => {
      accept().on('exec', (acceptExec, _reject, { command }) => {
        const channel = acceptExec();
        ran.push(command);
        channel.on('data', (chunk: Buffer) => channel.write(`got ${chunk.toString()}`));
        channel.on('end', () => {
          channel.exit(command.startsWith('false') ? 7 : 0);
          channel.end();
        });
      });
    });
  });
  await new Promise<void>((resolve) => listening.listen(port, '127.0.0.1', resolve));
  server = listening;
  return (listening.address() as AddressInfo).port;
}

async function stop(): Promise<void> {
  const stopping = server;
  server = null;
  await new Promise<void>((resolve) =>
    stopping === null ? resolve() : void stopping.close(() => resolve()),
  );
}

beforeEach(() => {
  ran = [];
  home = mkdtempSync(join(tmpdir(), 'dc-ssh-'));
  here = new LocalHost({ PATH: '/usr/bin:/bin', HOME: home }, systemClock);
});
afterEach(async () => {
  await stop();
  rmSync(home, { recursive: true, force: true });
});

describe('a host over SSH', () => {
  it('runs a command as it was meant, gives it its input, and answers its exit code', async () => {
    const port = await listen();
    const { fingerprint } = await seeHostKey({ user: 'root', host: '127.0.0.1', port }, systemClock, signal);
    const request = { text: `root@127.0.0.1:${port}`, expected: fingerprint, here, clock: systemClock };
    const { host, close } = await openSsh(request, () => Promise.reject(new Error('nobody is asked')));
    try {
      const command: HostCommand = { argv: ['tee', '/tmp/it is; mine', "don't"], input: 'hello' };
      expect(await host.run(command, signal)).toMatchObject({ exitCode: 0, stdout: 'got hello' });
      expect(await host.run({ argv: ['false'] }, signal)).toMatchObject({ exitCode: 7 });
      expect(ran).toEqual([`tee '/tmp/it is; mine' 'don'\\''t'`, 'false']);
    } finally {
      close();
    }
  });

  it('that shows another host key than was said is not talked to', async () => {
    const port = await listen();
    const request = { text: `127.0.0.1:${port}`, expected: 'SHA256:another', here, clock: systemClock };
    await expect(openSsh(request, () => Promise.resolve(true))).rejects.toThrow(
      /shows the SSH host key SHA256:/,
    );
    expect(ran).toEqual([]);
  });

  it('whose key nobody confirms is not talked to', async () => {
    const port = await listen();
    const request = { text: `127.0.0.1:${port}`, expected: null, here, clock: systemClock };
    await expect(openSsh(request, () => Promise.resolve(false))).rejects.toMatchObject({
      code: 'SETUP_HOST_UNSUITABLE',
      remedy: expect.stringContaining('--ssh-host-key SHA256:') as string,
    });
  });

  it('whose key changes later is not talked to any more', async () => {
    const port = await listen();
    const request = { text: `127.0.0.1:${port}`, expected: null, here, clock: systemClock };
    const { host, close } = await openSsh(request, () => Promise.resolve(true));
    try {
      await host.run({ argv: ['true'] }, signal);
      await stop();
      await listen(port);
      await expect(host.run({ argv: ['true'] }, signal)).rejects.toMatchObject({
        code: 'SETUP_HOST_UNSUITABLE',
      });
      expect(ran).toEqual(['true']);
    } finally {
      close();
    }
  });

  it('is written as people write it', () => {
    expect(parseSshTarget('192.0.2.1')).toEqual({ user: 'root', host: '192.0.2.1', port: 22 });
    expect(parseSshTarget('admin@[2001:db8::1]:2222')).toEqual({
      user: 'admin',
      host: '2001:db8::1',
      port: 2222,
    });
    for (const bad of ['-oProxyCommand=x', 'root@', 'a b', 'host:99999', 'x;y'])
      expect(() => parseSshTarget(bad)).toThrow('is no host');
  });

  it('has a line in known_hosts that is for its port alone', () => {
    const seen = { fingerprint: 'SHA256:x', hostKey: 'ssh-ed25519 AAAA', latencyMs: 1 };
    const target = { user: 'root', host: 'pve', port: 22 };
    expect(knownHostsLine(target, seen)).toBe('pve ssh-ed25519 AAAA\n');
    expect(knownHostsLine({ ...target, port: 2222 }, seen)).toBe('[pve]:2222 ssh-ed25519 AAAA\n');
    expect(() => assertHostKey(seen, 'SHA256:x')).not.toThrow();
  });

  it('goes through the system’s ssh, which asks nobody and trusts nothing else', async () => {
    const argvs: string[] = [];
    const spy: Host = {
      run: ({ argv }) => {
        argvs.push(shellLine(argv));
        return Promise.resolve({ exitCode: 255, stdout: '', stderr: 'Permission denied (publickey).' });
      },
    };
    const host = new SshHost(spy, { user: 'root', host: 'pve', port: 22 }, '/k');
    await expect(host.run({ argv: ['true'] }, signal)).rejects.toThrow('Permission denied (publickey).');
    expect(argvs[0]).toContain(
      '-o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=/k -o GlobalKnownHostsFile=/dev/null',
    );
  });
});
