import { inspect } from 'node:util';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { describe, expect, it } from 'vitest';
import { tempDirs } from '../testing/temp-dir.ts';
import { loadKeys, readSecretFile } from './key-files.ts';

const makeDir = tempDirs();
const HEX = 'ab'.repeat(32);

/** A directory with both keys as set-up leaves them. */
async function keyDir(): Promise<string> {
  const dir = await makeDir();
  await chmod(dir, 0o700);
  for (const name of ['agent.key', 'seal.key']) await writeFile(join(dir, name), `${HEX}\n`, { mode: 0o600 });
  return dir;
}

function refusal(act: () => unknown): AppError {
  try {
    act();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('key files', () => {
  it('are read, and print as [secret]', async () => {
    const keys = loadKeys(await keyDir());
    expect(Buffer.from(keys.sealSecret.reveal()).toString('hex')).toBe(HEX);
    expect(keys.agentKey.publicKey).toMatch(/^[0-9a-f]{64}$/);
    const seen = `${JSON.stringify(keys)} ${String(keys.sealSecret)} ${inspect(keys, { depth: 9 })}`;
    expect(seen).not.toContain('abab');
    expect(JSON.stringify(keys)).toBe('{"agentKey":"[secret]","sealSecret":"[secret]"}');
  });

  it.each([0o640, 0o604, 0o660, 0o644])(
    'are refused with mode %o, with the line that mends it',
    async (mode) => {
      const dir = await keyDir();
      await chmod(join(dir, 'agent.key'), mode);
      const error = refusal(() => loadKeys(dir));
      expect(error.code).toBe('KEY_FILE_UNSAFE');
      expect(error.remedy).toBe(`Run: chmod 600 ${join(dir, 'agent.key')}`);
    },
  );

  it('are refused in a directory that others can write to', async () => {
    const dir = await keyDir();
    await chmod(dir, 0o777);
    expect(refusal(() => loadKeys(dir))).toMatchObject({
      code: 'KEY_FILE_UNSAFE',
      remedy: `Run: chmod go-w ${dir}`,
    });
  });

  it('quote a path that a shell would take apart', async () => {
    const dir = join(await makeDir(), "it's here");
    await mkdir(dir, { mode: 0o700 });
    await writeFile(join(dir, 'agent.key'), HEX, { mode: 0o644 });
    expect(refusal(() => loadKeys(dir)).remedy).toContain(`it'\\''s here/agent.key'`);
  });

  // Only root can give a file away, so that nobody else can make the situation.
  it.runIf(process.getuid?.() === 0)('are refused when they belong to somebody else', async () => {
    const dir = await keyDir();
    await chown(join(dir, 'seal.key'), 12_345, 12_345);
    const error = refusal(() => loadKeys(dir));
    expect(error.code).toBe('KEY_FILE_UNSAFE');
    expect(error.message).toContain('12345');
    await chown(dir, 12_345, 12_345);
    await chown(join(dir, 'agent.key'), 12_345, 12_345);
    expect(loadKeys(dir).agentKey.publicKey).toMatch(/^[0-9a-f]{64}$/);
  });

  it('that are missing, cut off or no files are told apart, without showing what is in them', async () => {
    const dir = await keyDir();
    expect(refusal(() => readSecretFile(join(dir, 'other.key'))).message).toContain('is missing');
    await writeFile(join(dir, 'agent.key'), HEX.slice(2));
    const cutOff = refusal(() => loadKeys(dir));
    expect(cutOff.code).toBe('KEY_FILE_INVALID');
    expect(inspect(cutOff)).not.toContain('abab');
    expect(refusal(() => readSecretFile(dir)).code).toBe('KEY_FILE_INVALID');
  });
});
