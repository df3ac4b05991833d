/** An agent and a coordinator that was restored from an older backup. */
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';

const makeDir = tempDirs();
let world: Installation;

beforeEach(async () => {
  world = new Installation(await makeDir());
});
afterEach(async () => {
  await world.close();
  expect(world.clock.timerCount).toBe(0);
});

async function provision(contract = world.newContract()): Promise<string> {
  world.coordinator.addWork('provision', contract);
  await settle();
  await world.clock.advance(60_000);
  return contract;
}

/** Another coordinator with the same key and another past; the agent talks to it after its restart. */
async function restoreOlder(): Promise<void> {
  const { coordinator } = world;
  coordinator.work.length = 0;
  coordinator.records.length = 0;
  coordinator.forgetEpochs();
}

describe('An agent', () => {
  it('tells with each heartbeat the newest receipt and order that it has', async () => {
    await world.start();
    expect(world.coordinator.beats.at(-1)?.held).toEqual({});
    await provision();
    expect(world.coordinator.beats.at(-1)?.held).toEqual({
      checkpoint: expect.stringMatching(/\./) as string,
      order: expect.stringMatching(/\./) as string,
    });
  });

  it('refuses an order under an epoch that was used before, and destroys nothing by it', async () => {
    await world.start();
    const contract = await provision();
    await restoreOlder();
    const destroy = world.coordinator.addWork('destroy', contract);
    await settle();
    await world.clock.advance(20_000);
    expect(destroy.returned).toMatchObject({ code: 'refused', nothing_made: false });
    expect(destroy.returned?.detail).toContain('its epoch 1 is not above 1');
    expect(world.backend.objects.size).toBe(1);
  });

  it('takes the very order that it holds, when its lease comes twice', async () => {
    await world.start();
    const lease = world.coordinator.leaseWork.bind(world.coordinator);
    let first: Awaited<ReturnType<typeof lease>> = [];
    world.coordinator.leaseWork = async (max, signal) => {
      const leases = await lease(max, signal);
      if (first.length === 0) first = leases;
      return leases.length === 0 ? first : leases;
    };
    await provision();
    expect(world.messages()).not.toContain('order.refused');
    expect(world.backend.objects.size).toBe(1);
  });

  it('shows its receipt to a coordinator that has lost records, before it delivers them again', async () => {
    await world.start();
    await provision();
    const shown: unknown[] = [];
    const submit = world.coordinator.submitRecords.bind(world.coordinator);
    world.coordinator.submitRecords = (records, signal, held) => {
      shown.push(held);
      return submit(records, signal);
    };
    const lost = world.coordinator.records.length;
    world.coordinator.records.length = 0;
    await provision();
    expect(shown[0]).toBeUndefined();
    expect(shown[1]).toMatchObject({ checkpoint: expect.any(String) as string });
    expect(world.coordinator.records.length).toBeGreaterThan(lost);
  });

  it('delivers again what a coordinator has lost, also when there is nothing new to deliver', async () => {
    await world.start();
    await provision();
    const { records } = world.coordinator;
    const held = records.length;
    expect(held).toBeGreaterThan(0);
    records.length = 0;
    await world.clock.advance(60_000);
    expect(records.length).toBeGreaterThanOrEqual(held);
    expect(world.messages().filter((message) => message === 'records.gap')).toHaveLength(1);
  });

  it('tells a coordinator in a safe mode every order that counts, once, and again after five minutes', async () => {
    await world.start();
    const contracts = [await provision(), await provision()];
    world.coordinator.safeMode = {
      since: new Date(world.clock.now()).toISOString(),
      orders_after: new Date(world.clock.now()).toISOString(),
    };
    await world.clock.advance(120_000);
    expect(world.coordinator.toldOrders).toHaveLength(1);
    expect(world.coordinator.toldOrders[0]).toHaveLength(contracts.length);
    await world.clock.advance(300_000);
    expect(world.coordinator.toldOrders).toHaveLength(2);
    world.coordinator.safeMode = undefined;
    await world.clock.advance(600_000);
    expect(world.coordinator.toldOrders).toHaveLength(2);
    expect(world.messages().filter((message) => message === 'coordinator.safe_mode')).toHaveLength(1);
  });

  it('refuses what a thief signs with another key, whatever it says', async () => {
    await world.start();
    const contract = await provision();
    const own = world.coordinator.key;
    world.coordinator.key = SigningKey.fromSeed(new Uint8Array(32).fill(9));
    const destroy = world.coordinator.addWork('destroy', contract);
    await settle();
    await world.clock.advance(20_000);
    expect(destroy.returned).toMatchObject({ code: 'refused' });
    world.coordinator.key = own;
    expect(world.backend.objects.size).toBe(1);
  });
});
