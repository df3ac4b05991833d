/** An agent through a rotation of its coordinator's key: on line all the time, or away for a year. */
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { ROTATION_START, signKeyRotation, verifyKeyRotation } from '@dc/shared/key-rotation/key-rotation';
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { journalFile } from '../config/paths.ts';
import { openJournalReader } from '../journal/open-journal.ts';
import { Installation } from '../testing/installation.ts';
import { ENVIRONMENT } from '../testing/memory-coordinator.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { readPins } from './read-pins.ts';

/** How long each stage of a rotation takes. */
const STAGE_S = 600;
const YEAR_MS = 31_536_000_000;
const makeDir = tempDirs();
const keyNumber = (fill: number): SigningKey => SigningKey.fromSeed(new Uint8Array(32).fill(fill));
let world: Installation;

beforeEach(async () => {
  world = new Installation(await makeDir());
});
afterEach(async () => {
  await world.close();
  expect(world.clock.timerCount).toBe(0);
});

/** The coordinator announces `next`: it signs from the next stage on, and the old one counts for one more. */
function announce(next: SigningKey, by = world.coordinator.key): void {
  const { rotations } = world.coordinator;
  const last = rotations.at(-1);
  const iat = Math.floor(world.clock.now() / 1000);
  const terms = {
    environment: ENVIRONMENT,
    number: rotations.length + 1,
    prev: last === undefined ? ROTATION_START : verifyKeyRotation(last)!.hash,
    iat,
    starts: iat + STAGE_S,
    ends: iat + 2 * STAGE_S,
  };
  rotations.push(signKeyRotation(terms, by, next));
}

async function isProvisioned(contract = world.newContract()): Promise<boolean> {
  world.coordinator.addWork('provision', contract);
  await settle();
  await world.clock.advance(60_000);
  return world.coordinator.records.some(
    ({ payload }) => payload.contract_id === contract && payload.kind === 'provisioned',
  );
}

function pinned(): string[] {
  const reader = openJournalReader(journalFile(world.config.stateDir));
  try {
    const roots = { coordinatorKeys: world.config.coordinator.publicKeys, environment: ENVIRONMENT };
    return readPins(reader, roots).map(({ key }) => key);
  } finally {
    reader.close();
  }
}

describe('A rotation of the coordinator’s key', () => {
  it('is followed while both keys count, and the old one is refused after its end', async () => {
    const [old, next] = [world.coordinator.key, keyNumber(8)];
    await world.start();
    announce(next);
    await world.clock.advance(60_000);
    expect(pinned()).toEqual([old.publicKey, next.publicKey]);
    expect(await isProvisioned()).toBe(true);
    await world.clock.advance(STAGE_S * 1000);
    world.coordinator.key = next;
    expect(await isProvisioned()).toBe(true);
    world.coordinator.key = old;
    expect(await isProvisioned()).toBe(true);
    await world.clock.advance(STAGE_S * 1000);
    expect(await isProvisioned()).toBe(false);
    expect(world.log.find(({ message }) => message === 'order.refused')?.['detail']).toContain(
      'was replaced',
    );
  });

  it('is followed from key to key by an agent that was off for years, before its first order', async () => {
    const first = world.coordinator.key;
    const agent = await world.start();
    await agent.stop();
    for (const fill of [8, 9, 10]) {
      announce(keyNumber(fill));
      world.coordinator.key = keyNumber(fill);
      await world.clock.advance(YEAR_MS);
    }
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await world.start();
    await settle();
    await world.clock.advance(60_000);
    expect(world.messages()).not.toContain('order.refused');
    expect(world.coordinator.records.map(({ payload }) => payload.contract_id)).toContain(contract);
    expect(pinned()).toEqual([first, ...[8, 9, 10].map(keyNumber)].map(({ publicKey }) => publicKey));
  });

  it('stays pinned over a restart in which the coordinator announces nothing any more', async () => {
    const next = keyNumber(8);
    const agent = await world.start();
    announce(next);
    await world.clock.advance(60_000);
    await agent.stop();
    world.coordinator.rotations.length = 0;
    world.coordinator.key = next;
    await world.start();
    expect(await isProvisioned()).toBe(true);
  });

  it('by anybody but the pinned key changes nothing, and what comes by such a key is refused', async () => {
    const thief = keyNumber(66);
    await world.start();
    announce(thief, keyNumber(65));
    world.coordinator.key = thief;
    const contract = world.newContract();
    world.coordinator.addWork('destroy', contract);
    expect(await isProvisioned()).toBe(false);
    expect(pinned()).toHaveLength(1);
    expect(world.log.find(({ message }) => message === 'order.refused')?.['detail']).toContain('not pinned');
    expect(world.coordinator.records).toEqual([]);
  });

  it('to a second key is not followed, and said aloud', async () => {
    await world.start();
    announce(keyNumber(8));
    await world.clock.advance(60_000);
    announce(keyNumber(66));
    await world.clock.advance(60_000);
    expect(pinned()).not.toContain(keyNumber(66).publicKey);
    expect(world.messages()).toContain('coordinator_key.rival');
  });

  it('is followed when an answer of the coordinator was lost', async () => {
    let lost = 0;
    world.coordinator.before = (call) => {
      if (call === 'key_rotations' && (lost += 1) < 3) throw new AppError('COORDINATOR_UNREACHABLE');
    };
    await world.start();
    announce(keyNumber(8));
    await world.clock.advance(180_000);
    expect(lost).toBe(3);
    expect(pinned()).toContain(keyNumber(8).publicKey);
  });
});
