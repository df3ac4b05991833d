import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hashJws } from '@dc/shared/crypto/jws';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { CHAIN_START, signCheckpoint, signRecord } from '@dc/shared/evidence/record';
import { describe, expect, it } from 'vitest';
import { runCli } from '../cli.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { testWorld } from '../testing/test-world.ts';

const makeDir = tempDirs();
const agent = SigningKey.fromSeed(new Uint8Array(32).fill(1));
const coordinator = SigningKey.fromSeed(new Uint8Array(32).fill(2));
const AT = '2026-11-20T12:00:00.000Z';

/** An exported chain, one line each. */
function chain(length: number): string[] {
  const lines: string[] = [];
  let prev = CHAIN_START;
  for (let seq = 1; seq <= length; seq += 1) {
    const payload = {
      seq,
      prev,
      at: AT,
      environment: 'test',
      kind: 'health' as const,
      contract_id: 'c',
      epoch: 1,
    };
    const record = signRecord({ ...payload, data: { status: 'healthy' } }, agent);
    prev = hashJws(record);
    lines.push(JSON.stringify({ record }));
  }
  const receipt = { agent: agent.publicKey, seq: length, hash: prev, received_at: AT };
  return [...lines, JSON.stringify({ checkpoint: signCheckpoint(receipt, coordinator) })];
}

async function verify(lines: string[], ...more: string[]) {
  const file = join(await makeDir(), 'evidence.jsonl');
  await writeFile(file, lines.join('\n'));
  const world = testWorld();
  const exitCode = await runCli(['verify-evidence', file, ...more], world);
  return { exitCode, out: world.printed(), err: world.complained() };
}

describe('verify-evidence', () => {
  it('accepts a chain and says what it holds, however long', async () => {
    const { exitCode, out } = await verify(chain(1_000));
    expect(exitCode).toBe(0);
    expect(out).toContain('Valid: 1000 records of 1 agent, 1 checkpoint.');
    expect(out).toContain(agent.publicKey);
  });

  it('takes an empty file for no proof of anything', async () => {
    const { exitCode, err } = await verify([]);
    expect(exitCode).toBe(1);
    expect(err).toContain('it proves nothing');
  });

  it('says the same in JSON', async () => {
    const { out } = await verify(chain(3), '--json', '--coordinator-key', coordinator.publicKey);
    expect(JSON.parse(out)).toMatchObject({ valid: true, records: 3, checkpoints: 1 });
  });

  it('names the record after one flipped byte', async () => {
    const lines = chain(20);
    const at = lines[6]!.length - 20;
    lines[6] = lines[6]!.slice(0, at) + (lines[6]!.charAt(at) === 'A' ? 'B' : 'A') + lines[6]!.slice(at + 1);
    const { exitCode, err } = await verify(lines);
    expect(exitCode).toBe(1);
    expect(err).toContain('record 7 of agent');
    expect(err).toContain('[EVIDENCE_INVALID]');
  });

  it('finds a record that is missing, and two that changed places', async () => {
    const missing = chain(9);
    missing.splice(3, 1);
    expect((await verify(missing)).err).toContain('record 5 of agent');
    const swapped = chain(9);
    [swapped[3], swapped[4]] = [swapped[4]!, swapped[3]!];
    expect((await verify(swapped)).exitCode).toBe(1);
  });

  it('takes no receipt of another coordinator when told whose counts', async () => {
    const { exitCode, err } = await verify(chain(2), '--coordinator-key', agent.publicKey);
    expect(exitCode).toBe(1);
    expect(err).toContain('another coordinator');
  });

  it('refuses what is no evidence, a key that is none and a file that is not there', async () => {
    expect((await verify(['hello'])).exitCode).toBe(1);
    expect((await verify(['x'.repeat(300_000)])).err).toContain('not a file of evidence');
    expect((await verify(chain(1), '--coordinator-key', 'abc')).exitCode).toBe(2);
    const world = testWorld();
    expect(await runCli(['verify-evidence', '/nonexistent'], world)).toBe(2);
    expect(world.complained()).toContain('ENOENT');
  });
});
