/** Rotations of the coordinator's own key, from the announcement to the deleted file. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { followRotations } from '@dc/shared/key-rotation/key-rotation';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { systemRandom } from '../lib/system-random.ts';
import { CoordinatorKeys } from './coordinator-keys.ts';
import { announceKey, deleteRetiredKeys, stageOf } from './rotate-key.ts';
import { appendRotation, readRotations, rotationFile } from './rotation-file.ts';

const DAY_MS = 86_400_000;
let folder: string;
let keyFile: string;
let clock: ManualClock;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dc-keys-test-'));
  keyFile = join(folder, 'coordinator.key');
  clock = new ManualClock();
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (): CoordinatorKeys => new CoordinatorKeys(keyFile, { clock, random: systemRandom });
const announce = () =>
  announceKey(
    { environment: 'test', keyFile, startInMs: DAY_MS, overlapMs: 7 * DAY_MS },
    { clock, random: systemRandom },
  );

describe('A rotation', () => {
  it('goes by its announced times in every process: announced, overlap, retired', async () => {
    const keys = open();
    const first = keys.current.publicKey;
    const rotation = announce();
    expect(rotation.iss).toBe(first);
    await clock.advance(2000);
    expect(keys.rotations).toHaveLength(1);
    expect([stageOf(rotation, clock.now()), keys.current.publicKey]).toEqual(['announced', first]);
    expect(keys.counts(rotation.next)).toBe(true);
    clock.jump(DAY_MS);
    expect([stageOf(rotation, clock.now()), keys.current.publicKey]).toEqual(['overlap', rotation.next]);
    expect(keys.counts(first)).toBe(true);
    clock.jump(7 * DAY_MS);
    expect([stageOf(rotation, clock.now()), keys.current.publicKey]).toEqual(['retired', rotation.next]);
    expect([keys.counts(first), keys.has(first)]).toEqual([false, true]);
    expect(open().current.publicKey).toBe(rotation.next);
  });

  it('comes one after the other, and the whole chain is kept', () => {
    const first = open().current.publicKey;
    announce();
    expect(announce).toThrow(expect.objectContaining({ code: 'KEY_ROTATION_PENDING' }) as Error);
    clock.jump(9 * DAY_MS);
    const second = announce();
    clock.jump(9 * DAY_MS);
    const chain = readRotations(keyFile).map(({ compact }) => compact);
    expect(followRotations([first], chain, 'test').at(-1)?.key).toBe(second.next);
    expect(open().current.publicKey).toBe(second.next);
  });

  it('needs the old key’s file: the public part and the announcements are not enough', () => {
    open();
    announce();
    clock.jump(9 * DAY_MS);
    rmSync(`${keyFile}.1`);
    expect(open).toThrow(expect.objectContaining({ code: 'KEY_FILE_INVALID' }) as Error);
    expect(announce).toThrow(expect.objectContaining({ code: 'KEY_FILE_INVALID' }) as Error);
  });

  it('that was interrupted before its announcement goes on with the key that it had made', () => {
    open();
    const rotation = announce();
    rmSync(rotationFile(keyFile));
    expect(announce().next).toBe(rotation.next);
  });

  it('lets the files of keys go that count no more, and no other, and never makes one in their place', () => {
    open();
    const { iss } = announce();
    expect(deleteRetiredKeys(keyFile, clock)).toEqual([]);
    clock.jump(9 * DAY_MS);
    expect(deleteRetiredKeys(keyFile, clock)).toEqual([iss]);
    expect(deleteRetiredKeys(keyFile, clock)).toEqual([]);
    expect(open().current.publicKey).not.toBe(iss);
    expect(readdirSync(folder).sort()).toEqual(['coordinator.key.1', 'coordinator.key.rotations']);
  });

  it('that was changed in the file is no reason to go on', () => {
    open();
    const { compact } = announce();
    writeFileSync(rotationFile(keyFile), `${compact.slice(0, -4)}AAAA\n`);
    expect(open).toThrow(expect.objectContaining({ code: 'KEY_FILE_INVALID' }) as Error);
    rmSync(rotationFile(keyFile));
    appendRotation(keyFile, readRotations(keyFile), compact);
    appendRotation(keyFile, readRotations(keyFile), compact);
    expect(open).toThrow('Line 2');
  });
});
