/** A lease that the coordinator granted and that the agent knows nothing of: it must not cost the renter a minute. */
import { AppError } from '@dc/shared/errors';
import { settle } from '@dc/shared/testing/manual-clock';
import { FIRST_LEASE_MS_MAX } from '@dc/shared/wire/agent';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';

const makeDir = tempDirs();
const SOON_MS = FIRST_LEASE_MS_MAX + 500;

async function install(): Promise<Installation> {
  const installation = new Installation(await makeDir());
  onTestFinished(() => installation.close());
  return installation;
}

/** What was reported, and under which epoch. */
const reported = ({ coordinator }: Installation): unknown[] =>
  coordinator.records.map(({ payload }) => [payload.kind, payload.epoch]);

describe('a lease that never reached the journal', () => {
  it('is had again soon after the agent was killed between the answer and its journal', async () => {
    const world = await install();
    let killed = false;
    const killedAgent = await world.start({
      onWrite(label, when) {
        if (label !== 'orders.received' || when !== 'before' || killed) return;
        killed = true;
        throw new Error('killed');
      },
    });
    world.coordinator.addWork('provision', world.newContract());
    await settle();
    expect({ killed, leased: world.coordinator.work[0]?.state }).toEqual({ killed: true, leased: 'leased' });
    await killedAgent.stop();

    await world.start();
    await world.clock.advance(SOON_MS);
    expect(reported(world)).toEqual([['provisioned', 2]]);
    expect(world.backend.objects.size).toBe(1);
  });

  it('is had again soon after the answer was lost on its way, nudges in between or not', async () => {
    const world = await install();
    await world.start();
    await world.clock.advance(20_000);
    const lease = world.coordinator.leaseWork.bind(world.coordinator);
    world.coordinator.leaseWork = async (max, signal) => {
      const leases = await lease(max, signal);
      if (leases.length === 0) return leases;
      world.coordinator.leaseWork = lease;
      throw new AppError('COORDINATOR_UNREACHABLE');
    };
    world.coordinator.addWork('provision', world.newContract());
    await world.clock.advance(4_000);
    world.coordinator.nudge();
    await world.clock.advance(1_000);
    expect(reported(world)).toEqual([]);
    await world.clock.advance(SOON_MS - 5_000);
    expect(reported(world)).toEqual([['provisioned', 2]]);
  });

  it('is not looked for again where nothing can be lost', async () => {
    const world = await install();
    await world.start();
    await world.clock.advance(30_000);
    const calls = () => world.coordinator.calls.filter((call) => call === 'lease').length;
    const before = calls();
    await world.clock.advance(15_000);
    expect(calls()).toBe(before);
  });
});
