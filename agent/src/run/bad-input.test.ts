/**
 * Bad input of every kind to an agent that holds an instance (issue 3): each ends in a clear error or a safe, explained
 * stop, and the instance is there afterwards, untouched. docs/invariants.md lists where the other side's half is.
 */
import { copyFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { journalFile } from '../config/paths.ts';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import type { Agent } from '../wiring.ts';

const evil = SigningKey.fromSeed(new Uint8Array(32).fill(99));
const makeDir = tempDirs();
let world: Installation;
let agent: Agent;
let contract: string;
/** The instance, byte for byte. */
let before: string;

beforeEach(async () => {
  world = new Installation(await makeDir());
  agent = await world.start();
  contract = world.newContract();
  world.coordinator.addWork('provision', contract);
  await settle();
  await world.clock.advance(30_000);
  before = JSON.stringify([...world.backend.objects]);
  expect(world.backend.objects.size).toBe(1);
});
afterEach(async () => {
  expect(JSON.stringify([...world.backend.objects])).toBe(before);
  await world.close();
  expect(world.clock.timerCount).toBe(0);
});

describe('A destroy order', () => {
  it.each<[string, object, string]>([
    ['of a wrong issuer', { iss: evil.publicKey }, 'its issuer is not its signer'],
    ['for a wrong audience', { aud: evil.publicKey }, 'it is for another agent'],
    ['of another environment', { environment: 'prod' }, 'it is for another environment'],
    ['under an epoch that was used', { epoch: 1 }, 'it is not the one that the lease names'],
    ['that has expired', { exp: 1 }, 'it has expired'],
    [
      'of a wrong contract',
      { sub: '01890000-0000-7000-8000-00000000ffff' },
      'without a tombstone for this contract',
    ],
    ['without a tombstone', { tombstone: undefined }, 'without a tombstone for this contract'],
  ])('%s is refused, with why', async (_what, change, why) => {
    const item = world.coordinator.addWork('destroy', contract, change);
    await settle();
    await world.clock.advance(20_000);
    expect(item.returned).toMatchObject({ code: 'refused', nothing_made: false });
    expect(item.returned?.detail).toContain(why);
    expect(world.log.find(({ message }) => message === 'order.refused')).toHaveProperty('remedy');
  });

  it.each(['another key’s', 'a broken'])('with %s signature is refused', async (whose) => {
    const lease = world.coordinator.leaseWork.bind(world.coordinator);
    const own = world.coordinator.key;
    if (whose === 'a broken')
      world.coordinator.leaseWork = async (max, signal) =>
        (await lease(max, signal)).map((one) => ({ ...one, order: `${one.order.slice(0, -8)}AAAAAAAA` }));
    else world.coordinator.key = evil;
    const item = world.coordinator.addWork('destroy', contract);
    await settle();
    await world.clock.advance(20_000);
    expect(item.returned).toMatchObject({ code: 'refused' });
    world.coordinator.key = own;
  });
});

describe('A journal', () => {
  /** Stops the agent, changes its files, and answers what the next start says. */
  async function damage(change: (file: string) => void): Promise<AppError> {
    await agent.stop();
    change(journalFile(world.config.stateDir));
    return world
      .make()
      .start()
      .then(
        () => new AppError('INTERNAL_BUG', 'It started.'),
        (error: unknown) => error as AppError,
      );
  }
  const withoutLog = (file: string): void => {
    for (const more of ['-wal', '-shm']) rmSync(`${file}${more}`, { force: true });
  };

  it.each<[string, (file: string) => void]>([
    [
      'that is truncated',
      (file) => {
        withoutLog(file);
        truncateSync(file, 5_000);
      },
    ],
    [
      'that is corrupted',
      (file) => {
        withoutLog(file);
        writeFileSync(file, 'x'.repeat(20_000));
      },
    ],
  ])('%s is refused, and says what to do', async (_what, change) => {
    const error = await damage(change);
    expect(error.code).toBe('JOURNAL_CORRUPT');
    expect(error.remedy).not.toBe('');
  });

  it('that a newer version wrote is refused and left as it is', async () => {
    const error = await damage((file) => {
      const db = new Database(file);
      db.pragma(`user_version = ${String((db.pragma('user_version', { simple: true }) as number) + 1)}`);
      db.close();
    });
    expect(error.code).toBe('DATABASE_NEWER');
  });

  it('that was deleted makes the agent end itself: the coordinator knows more than it does', async () => {
    await agent.stop();
    rmSync(world.config.stateDir, { recursive: true });
    agent = await world.start();
    expect(await agent.failure).toMatchObject({
      code: 'RECORD_FORK',
      remedy: expect.stringContaining('restore the journal') as string,
    });
  });

  it('of an older disk makes the agent end itself, too', async () => {
    await agent.stop();
    const saved = join(await makeDir(), 'saved');
    const file = journalFile(world.config.stateDir);
    copyFileSync(file, saved);
    agent = await world.start();
    await world.clock.advance(3_600_000);
    expect(world.coordinator.records.length).toBeGreaterThan(3);
    await agent.stop();
    withoutLog(file);
    copyFileSync(saved, file);
    agent = await world.start();
    expect(await agent.failure).toMatchObject({ code: 'RECORD_FORK' });
  });

  it('of a running agent is refused to a second one, which changes nothing', async () => {
    await expect(world.make().start()).rejects.toMatchObject({ code: 'DATABASE_LOCKED' });
    expect(agent.status().phase).toBe('running');
    expect(readdirSync(world.config.stateDir).length).toBeGreaterThan(0);
  });
});

describe('A disk that is full', () => {
  it('stops a destruction before it begins: what cannot be written down is not done', async () => {
    await agent.stop();
    let isFull = false;
    agent = await world.start({
      onWrite: (_label, moment) => {
        if (isFull && moment === 'before') throw new AppError('DATABASE_FULL');
      },
    });
    isFull = true;
    world.coordinator.addWork('destroy', contract);
    await settle();
    await world.clock.advance(120_000);
    expect(world.backend.objects.size).toBe(1);
    expect(world.coordinator.records.map(({ payload }) => payload.kind)).not.toContain('destroyed');
    expect(agent.status().phase).toBe('running');
    isFull = false;
    await agent.stop();
  });
});
