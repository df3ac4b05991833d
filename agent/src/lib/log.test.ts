import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { describe, expect, it } from 'vitest';
import { Secret } from '../config/key-files.ts';
import { createLog } from './log.ts';

async function lines(level: string, write: (log: Awaited<ReturnType<typeof createLog>>) => void) {
  const written: string[] = [];
  write(await createLog(level, (line) => void written.push(line)));
  return written.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('the log', () => {
  it('is one JSON object a line, with the time and the level as words', async () => {
    const [line, ...others] = await lines('info', (log) => {
      log.debug({}, 'unheard');
      log.info({ contract_id: 'c' }, 'instance.created');
    });
    expect(others).toEqual([]);
    expect(line).toMatchObject({ level: 'info', contract_id: 'c', msg: 'instance.created' });
    expect(line?.['time']).toMatch(/^\d{4}-\d{2}-\d{2}T/);
  });

  it('shows no secret, however it got there', async () => {
    const key = SigningKey.fromSeed(new Uint8Array(32).fill(7));
    const written = await lines('info', (log) => {
      log.info({ token: 'dcs_x', config: { password: 'x-hidden', seed: 'x-hidden' } }, 'a');
      log.info({ key, bytes: new Secret(new Uint8Array(32).fill(7)), agentKey: key }, 'b');
      log.warn({ err: new AppError('KEY_FILE_INVALID', 'It is broken.') }, 'c');
    });
    expect(JSON.stringify(written)).not.toMatch(/dcs_x|x-hidden|0707/);
    expect(JSON.stringify(written)).toContain('It is broken.');
  });
});
