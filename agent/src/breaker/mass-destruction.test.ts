/** A coordinator that orders everything destroyed, with perfectly signed tombstones. */
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, describe, expect, it } from 'vitest';
import { openJournalReader } from '../journal/open-journal.ts';
import { journalFile } from '../config/paths.ts';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';

const HOUR_MS = 3_600_000;
const makeDir = tempDirs();
const installations: Installation[] = [];

afterEach(async () => {
  for (const installation of installations.splice(0)) {
    await installation.close();
    expect(installation.clock.timerCount).toBe(0);
  }
});

/** An installation whose agent holds `count` instances. */
async function holding(count: number, limits: ConstructorParameters<typeof Installation>[1] = {}) {
  const world = new Installation(await makeDir(), { parallel: 50, ...limits });
  installations.push(world);
  world.coordinator.ttlMs = 600_000; // Keeping many leases for hours is not what is tested here.
  const agent = await world.start();
  const contracts = Array.from({ length: count }, () => world.newContract());
  for (const contract of contracts) world.coordinator.addWork('provision', contract);
  await until(world, () => world.coordinator.records.length === count);
  return { world, agent, contracts };
}

async function until(world: Installation, isReached: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !isReached(); turn += 1) await world.clock.advance(1_000);
  expect(isReached()).toBe(true);
}

/** Orders all of them destroyed, and gives the agent the time to do it. */
async function end(world: Installation, contracts: readonly string[]): Promise<void> {
  for (const contract of contracts) world.coordinator.addWork('destroy', contract);
  await settle();
  await world.clock.advance(120_000);
}

function waiting(world: Installation): string[] {
  const reader = openJournalReader(journalFile(world.config.stateDir));
  try {
    return reader.pausedReleases().map(({ sagaId }) => sagaId);
  } finally {
    reader.close();
  }
}

describe('Twenty tombstones at once for twenty instances', { timeout: 60_000 }, () => {
  it('destroy three; the others wait for the operator through restarts, and go on when he confirms', async () => {
    const { world, agent, contracts } = await holding(20);
    await end(world, contracts);
    expect(world.backend.objects.size).toBe(17);
    expect(world.coordinator.beats.at(-1)?.capabilities).toMatchObject({
      destruction_paused: { waiting: 17 },
    });

    await agent.stop();
    const again = await world.start();
    await world.clock.advance(HOUR_MS + 600_000);
    expect(world.backend.objects.size).toBe(17);
    expect(waiting(world)).toHaveLength(17);

    expect(again.confirm(waiting(world))).toBe(17);
    await until(world, () => world.backend.objects.size === 0);
    await until(world, () => world.coordinator.records.filter(isDestroyed).length === 20);
    await world.clock.advance(60_000);
    expect(world.coordinator.beats.at(-1)?.capabilities).not.toHaveProperty('destruction_paused');
  });

  it('wait exactly so long as the operator has not seen them: what comes after his look waits for the next', async () => {
    const { world, agent, contracts } = await holding(20);
    await end(world, contracts.slice(0, 10));
    const seen = waiting(world);
    expect(seen).toHaveLength(7);
    await end(world, contracts.slice(10, 12));
    expect(agent.confirm(seen)).toBe(7);
    await world.clock.advance(120_000);
    expect(world.backend.objects.size).toBe(10);
    expect(waiting(world)).toHaveLength(2);
    expect(agent.confirm(seen)).toBe(0);

    expect(agent.confirm(waiting(world))).toBe(2);
    await end(world, contracts.slice(12, 15));
    expect(world.backend.objects.size).toBe(5);
    expect(waiting(world)).toEqual([]);
  });

  it('go through where the configuration allows so many', async () => {
    const { world, contracts } = await holding(20, { destructionsPerHour: 20 });
    await end(world, contracts);
    expect(world.backend.objects.size).toBe(0);
  });

  it('hold up no new work', async () => {
    const { world, contracts } = await holding(20, { parallel: 2 });
    await end(world, contracts);
    for (let index = 0; index < 6; index += 1) world.coordinator.addWork('provision', world.newContract());
    await world.clock.advance(5_000);
    expect(world.backend.objects.size).toBe(17 + 6);
  });
});

describe('Ordinary business', { timeout: 60_000 }, () => {
  it('is three ends an hour, for ever: the window slides', async () => {
    const { world, contracts } = await holding(12);
    for (let hour = 1; hour <= 4; hour += 1) {
      await end(world, contracts.splice(0, 3));
      expect(world.backend.objects.size).toBe(12 - 3 * hour);
      await world.clock.advance(HOUR_MS);
    }
    expect(waiting(world)).toEqual([]);
  });

  it('is a tenth of many instances, of those that were there when the hour began', async () => {
    const { world, contracts } = await holding(60);
    await end(world, contracts.splice(0, 4));
    expect(waiting(world), 'instances made within the hour raise no limit').toHaveLength(1);
    const other = await holding(60);
    await other.world.clock.advance(HOUR_MS);
    await end(other.world, other.contracts.splice(0, 7));
    expect(other.world.backend.objects.size).toBe(54);
    expect(waiting(other.world)).toHaveLength(1);
  });

  it('is the end of contracts that never had an instance, and of ones that are being built', async () => {
    const { world } = await holding(1);
    for (let index = 0; index < 10; index += 1) world.coordinator.addWork('destroy', world.newContract());
    world.backend.inject({ on: 'create', what: 'reply_lost' });
    const building = world.newContract();
    world.coordinator.addWork('provision', building);
    await settle();
    world.coordinator.addWork('destroy', building);
    await world.clock.advance(120_000);
    expect(waiting(world)).toEqual([]);
    expect(world.coordinator.records.filter(isDestroyed)).toHaveLength(11);
    expect(world.backend.objects.size).toBe(1);
  });
});

const isDestroyed = ({ payload }: Installation['coordinator']['records'][number]): boolean =>
  payload.kind === 'destroyed';
