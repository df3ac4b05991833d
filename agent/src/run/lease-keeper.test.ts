import { AppError } from '@dc/shared/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { settle } from '@dc/shared/testing/manual-clock';
import { FIRST_LEASE_MS_MAX } from '@dc/shared/wire/agent';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import type { AgentDependencies } from '../wiring.ts';

const makeDir = tempDirs();
const worlds: Installation[] = [];
const TTL_MS = 60_000;

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

/** A backend whose `create` ends only when the test says so, or when it is told to stop. */
async function slowWorld(change: Partial<AgentDependencies> = {}) {
  const world = new Installation(await makeDir());
  worlds.push(world);
  const provisioner = world.openProvisioner();
  const create = provisioner.create.bind(provisioner);
  const gate = Promise.withResolvers<undefined>();
  const stopped: number[] = [];
  const begun: string[] = [];
  provisioner.create = async (request, signal) => {
    begun.push(request.contractId);
    await Promise.race([
      gate.promise,
      new Promise((_resolve, reject) => {
        const stop = (): void => {
          stopped.push(world.clock.monotonic());
          reject(new AppError('SAGA_ABORTED'));
        };
        signal.addEventListener('abort', stop, { once: true });
      }),
    ]);
    return create(request, signal);
  };
  const agent = await world.start({ provisioner, ...change });
  const startedAt = world.clock.monotonic();
  const item = world.coordinator.addWork('provision', world.newContract());
  await settle();
  const renewals = (): number => world.coordinator.calls.filter((call) => call === 'renew').length;
  return { world, agent, item, gate, begun, stopped, startedAt, renewals };
}

const kinds = (world: Installation): string[] => world.coordinator.records.map(({ payload }) => payload.kind);

describe('a lease', () => {
  it('is renewed at a third of its time for as long as its work goes on, and no longer', async () => {
    const { world, gate, stopped, renewals } = await slowWorld();
    await world.clock.advance(200_000);
    expect(renewals()).toBeGreaterThanOrEqual(10);
    expect(renewals()).toBeLessThanOrEqual(13);
    expect(stopped).toEqual([]);
    gate.resolve(undefined);
    await settle();
    expect(kinds(world)).toEqual(['provisioned']);
    const before = renewals();
    await world.clock.advance(120_000);
    expect(renewals()).toBe(before);
  });

  it('that cannot be renewed stops its work at 60 % of its time, and may be had again', async () => {
    const { world, gate, stopped, startedAt } = await slowWorld();
    const away = (call: string): void => {
      if (call !== 'stream') throw new AppError('COORDINATOR_UNREACHABLE');
    };
    world.coordinator.before = away;
    await world.clock.advance(120_000);
    expect(stopped).toHaveLength(1);
    expect(stopped[0]! - startedAt).toBe(0.6 * FIRST_LEASE_MS_MAX);
    expect(world.backend.objects.size).toBe(0);
    gate.resolve(undefined);
    world.coordinator.before = () => undefined;
    await world.clock.advance(30_000);
    expect(kinds(world)[0]).toBe('provisioned');
    expect(world.backend.objects.size).toBe(1);
  });

  it('that is not ours any more stops its work at once', async () => {
    const { world, item, stopped } = await slowWorld();
    item.state = 'done';
    await world.clock.advance(20_000);
    expect(stopped).toHaveLength(1);
    await world.clock.advance(600_000);
    expect(world.backend.objects.size).toBe(0);
    expect(kinds(world)).toEqual([]);
  });

  it('is renewed in time after a call that hangs, and beside it', async () => {
    const { world, stopped } = await slowWorld();
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    let hung = 0;
    world.coordinator.before = (call) => {
      if (call !== 'renew' || hung > 0) return;
      hung += 1;
      return new Promise(() => undefined);
    };
    await world.clock.advance(100_000);
    expect(hung).toBe(1);
    expect(stopped).toEqual([]);
  });

  it.each([
    ['forward', 3_600_000],
    ['back', -3_600_000],
  ])('keeps its true length when the clock is set %s', async (_how, ms) => {
    const { world, stopped, startedAt, gate } = await slowWorld();
    await world.clock.advance(5_000);
    world.clock.jump(ms);
    await world.clock.advance(60_000);
    expect(stopped).toEqual([]);
    world.coordinator.before = (call) => {
      if (call !== 'stream') throw new AppError('COORDINATOR_UNREACHABLE');
    };
    await world.clock.advance(60_000);
    expect(stopped).toHaveLength(1);
    expect(stopped[0]! - startedAt).toBeLessThanOrEqual(65_000 + 0.6 * TTL_MS);
    gate.resolve(undefined);
  });

  it('counts from when it was asked for, also where the clock is set while the answer is on its way', async () => {
    const { world, begun } = await slowWorld();
    const answer = Promise.withResolvers<undefined>();
    world.coordinator.before = (call) => (call === 'lease' ? answer.promise : undefined);
    const late = world.newContract();
    world.coordinator.addWork('provision', late);
    await world.clock.advance(FIRST_LEASE_MS_MAX - 1_000);
    world.clock.jump(2_000 - FIRST_LEASE_MS_MAX);
    answer.resolve(undefined);
    await settle();
    expect(begun).toHaveLength(1);
    world.coordinator.before = () => undefined;
    await world.clock.advance(60_000);
    expect(begun).toContain(late);
  });

  it('that was lost while the disk was full is tried again, and takes nothing down', async () => {
    let fullDisks = 0;
    const { world, item, stopped } = await slowWorld({
      onWrite: (label, moment) => {
        if (label === 'lease.lost' && moment === 'before' && (fullDisks += 1) <= 2)
          throw new AppError('DATABASE_FULL');
      },
    });
    item.state = 'done';
    await world.clock.advance(40_000);
    expect(fullDisks).toBe(3);
    expect(stopped).toHaveLength(1);
  });

  it('from before a restart lets nobody work until it is renewed, whatever the clock says', async () => {
    const { world, agent, gate } = await slowWorld();
    await agent.stop();
    gate.resolve(undefined);
    // The machine was off for ten minutes, and came back with a clock that was ten minutes slow.
    await world.clock.advance(600_000);
    world.clock.jump(-600_000);
    world.coordinator.before = (call) => {
      if (call !== 'stream') throw new AppError('COORDINATOR_UNREACHABLE');
    };
    await world.start();
    await world.clock.advance(30_000);
    expect(world.backend.objects.size).toBe(0);
    world.coordinator.before = () => undefined;
    await world.clock.advance(60_000);
    expect(kinds(world)[0]).toBe('provisioned');
  });
});
