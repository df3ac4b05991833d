import { AppError } from '@dc/shared/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { settle } from '@dc/shared/testing/manual-clock';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';

const makeDir = tempDirs();
const worlds: Installation[] = [];
const MINUTE_MS = 66_000; // With its jitter a round is never later than this.

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

async function rented() {
  const world = new Installation(await makeDir());
  worlds.push(world);
  await world.start();
  world.coordinator.addWork('provision', world.newContract());
  await settle();
  return world;
}

const silent = (): Promise<number> => Promise.reject(new AppError('INSTANCE_UNREACHABLE'));
const reports = (world: Installation): unknown[] =>
  world.coordinator.records
    .filter(({ payload }) => payload.kind === 'health')
    .map(({ payload }) => payload.data);

describe('the health of an instance', () => {
  it('is reported once it is known, then every five minutes', async () => {
    const world = await rented();
    await world.clock.advance(MINUTE_MS);
    expect(reports(world)).toEqual([{ status: 'healthy', latency_ms: 3 }]);
    await world.clock.advance(1_800_000);
    expect(reports(world).length).toBeGreaterThanOrEqual(5);
    expect(reports(world).length).toBeLessThanOrEqual(7);
  });

  it('changes after three looks in vain, not after one, and comes back after two good ones', async () => {
    const world = await rented();
    await world.clock.advance(MINUTE_MS);
    world.look = silent;
    await world.clock.advance(MINUTE_MS);
    world.look = () => Promise.resolve(5);
    await world.clock.advance(MINUTE_MS);
    expect(reports(world)).toHaveLength(1);
    world.look = silent;
    await world.clock.advance(3 * MINUTE_MS);
    expect(reports(world).at(-1)).toEqual({ status: 'unhealthy', latency_ms: null });
    world.look = () => Promise.resolve(5);
    await world.clock.advance(2 * MINUTE_MS);
    expect(reports(world).at(-1)).toEqual({ status: 'healthy', latency_ms: 5 });
  });

  it('of one is looked at while another one hangs', async () => {
    const world = await rented();
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    let looks = 0;
    world.look = (_address, signal) => {
      looks += 1;
      if (looks > 1) return Promise.resolve(4);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new AppError('SAGA_ABORTED')), { once: true });
        world.clock.schedule(10_000, () => reject(new AppError('INSTANCE_UNREACHABLE')));
      });
    };
    await world.clock.advance(MINUTE_MS);
    expect(looks).toBe(2);
    await world.clock.advance(10_000);
    expect(reports(world)).toHaveLength(1);
  });

  it('of a stopped or destroyed one is nobody’s business', async () => {
    const world = await rented();
    await world.clock.advance(MINUTE_MS);
    world.coordinator.addWork('destroy', world.coordinator.work[0]!.contractId);
    await settle();
    const before = reports(world).length;
    await world.clock.advance(1_000_000);
    expect(reports(world)).toHaveLength(before);
  });

  it('that nobody could look at is not claimed', async () => {
    const world = new Installation(await makeDir());
    worlds.push(world);
    world.look = silent;
    await world.start();
    world.coordinator.addWork('provision', world.newContract());
    await world.clock.advance(100_000);
    expect(reports(world)).toEqual([]);
  });
});
