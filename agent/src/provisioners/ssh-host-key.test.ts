import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../lib/run-command.ts';
import { systemClock } from '../lib/system-clock.ts';
import { describeHostKey, openSshPrivateKey, publicKeyOfSeed } from './ssh-host-key.ts';

it('writes keys that ssh-keygen reads as the same public key and fingerprint', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dc-host-key-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const keygen = async (...args: string[]) => {
    const command = { file: 'ssh-keygen', args, env: { PATH: '/usr/bin:/bin' }, cwd: folder };
    const limits = { timeoutMs: 10_000, outputBytesMax: 10_000 };
    return (await runCommand(command, limits, systemClock, new AbortController().signal)).stdout;
  };
  const seed = Buffer.alloc(32, 7);
  const { hostKey, hostKeyFingerprint } = describeHostKey(publicKeyOfSeed(seed));
  await writeFile(join(folder, 'key'), openSshPrivateKey(seed), { mode: 0o600 });
  expect((await keygen('-y', '-f', 'key')).trim()).toBe(hostKey);
  expect(await keygen('-l', '-f', 'key')).toContain(hostKeyFingerprint);
});
