import { createHash } from 'node:crypto';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { WireHeartbeat } from '@dc/shared/wire/agent';
import type { WireOffering, WireProvider } from '@dc/shared/wire/offering';
import { runProgram } from '../database/testing/run-program.ts';
import { verifyLedger } from '../payments/ledger-verify.ts';
import { expectStatus } from '../testing/people.ts';
import {
  addAgent,
  atPrivateAddress,
  cancel,
  destroyInstance,
  look,
  openMarket,
  placesTaken,
  rent,
  rentAndLease,
  settledMoney,
  sshKeyOf,
  tryToRent,
  type Market,
  type MarketOptions,
} from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';

const NO_ROOM = { status: 409, body: { code: 'OFFERING_SOLD_OUT' } };
const MINUTE_MS = 60_000;

/** Room for `count` of the test's offering (2 CPUs, 4096 MB, 40 GB), and plenty of what `change` does not say. */
const roomFor = (
  count: number,
  change: Partial<WireHeartbeat['capacity']> = {},
): WireHeartbeat['capacity'] => ({
  cpu: 2 * count,
  memory_mb: 4096 * count,
  disk_gb: 40 * count,
  instances: count,
  ...change,
});

async function marketWith(beat: Partial<WireHeartbeat>, options: MarketOptions = {}): Promise<Market> {
  const market = await openMarket({ ...options, offering: { places: 100, ...options.offering } });
  await market.agent.beat(beat);
  return market;
}

async function shown({ coordinator, offering }: Market): Promise<WireOffering> {
  return expectStatus(await coordinator.client.get<WireOffering>(`/offerings/${offering.id}`), 200);
}

/** How often it can be rented, up to 20 times. */
async function rentAll(market: Market): Promise<number> {
  for (let count = 0; count < 20; count += 1) {
    const { in_stock } = await shown(market);
    const { status } = await tryToRent(market);
    expect(in_stock).toBe(status === 201);
    if (status !== 201) return count;
  }
  return 20;
}

/** What holds a place, and nothing else, is reserved; and no agent has less than no room. */
async function checkCounts({ coordinator }: Market): Promise<void> {
  const { read } = coordinator.context.db;
  const sizes = ['cpu', 'memory_mb', 'disk_gb'] as const;
  const live = await read
    .selectFrom('contracts')
    .select(['id', ...sizes])
    .where('place_held', '=', 1)
    .execute();
  const reserved = await read
    .selectFrom('reservations')
    .select(['contract_id as id', ...sizes])
    .execute();
  const byId = (rows: { id: string }[]) => rows.toSorted((a, b) => a.id.localeCompare(b.id));
  expect(byId(reserved)).toEqual(byId(live));
  const least = await read
    .selectFrom('capacities')
    .select(({ fn }) => [fn.min('room_cpu').as('cpu'), fn.min('room_instances').as('instances')])
    .executeTakeFirst();
  expect(Math.min(least?.cpu ?? 0, least?.instances ?? 0)).toBeGreaterThanOrEqual(0);
}

describe('the room of a pool', () => {
  it.each([
    ['processors', roomFor(3, { cpu: 7.9, memory_mb: 1e9, disk_gb: 1e9, instances: 99 })],
    ['memory', roomFor(3, { cpu: 1e6, disk_gb: 1e9, instances: 99 })],
    ['disk', roomFor(3, { cpu: 1e6, memory_mb: 1e9, instances: 99 })],
    ['the number of instances', roomFor(3, { cpu: 1e6, memory_mb: 1e9, disk_gb: 1e9 })],
  ])('limits what is sold by %s', async (_, capacity) => {
    const market = await marketWith({ capacity: capacity! });
    expect(await rentAll(market)).toBe(3);
    expect(await tryToRent(market)).toMatchObject(NO_ROOM);
    expect(await shown(market)).toMatchObject({ in_stock: false, out_of_stock: 'no_capacity' });
    expect(await placesTaken(market)).toBe(3);
    await checkCounts(market);
  });

  it('is that of all its agents together, but one of them must have room for the whole', async () => {
    const market = await marketWith({ capacity: roomFor(1)! });
    const other = await addAgent(market, 'other');
    expect((await shown(market)).in_stock).toBe(true); // Nothing is known of the other one's room.
    await other.beat({ capacity: roomFor(2)! });
    expect(await rentAll(market)).toBe(3);

    const small = await marketWith(
      { capacity: roomFor(1, { cpu: 1 })! },
      { coordinator: await startTestCoordinator() },
    );
    const second = await addAgent(small, 'other');
    await second.beat({ capacity: roomFor(1, { cpu: 1 })! });
    expect(await rentAll(small)).toBe(0);
  });

  it('has no limit but its places where its agents say nothing of it', async () => {
    const market = await marketWith({ capacity: roomFor(0)! }, { offering: { places: 2 } });
    expect(await rentAll(market)).toBe(0);
    await market.agent.beat();
    expect(await rentAll(market)).toBe(2);
    expect(await shown(market)).toMatchObject({ out_of_stock: 'sold_out' });
  });

  it('does not count a contract twice when the agent’s look has it, nor before that', async () => {
    const market = await marketWith({ capacity: roomFor(4)! });
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    // It looked before the instance was made, and says so.
    await market.agent.beat({ capacity: roomFor(4)!, capacity_includes: [], running_contracts: [id] });
    expect((await shown(market)).in_stock).toBe(true);
    await market.agent.beat({ capacity: roomFor(0)!, capacity_includes: [id], running_contracts: [id] });
    expect(await rentAll(market)).toBe(0);
    await market.agent.beat({ capacity: roomFor(3)!, capacity_includes: [id], running_contracts: [id] });
    expect(await rentAll(market)).toBe(3);
  });

  it('takes a contract as built some time after it was, where the agent does not say when it looked', async () => {
    const market = await marketWith({ capacity: roomFor(2)! });
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    const beat = () => market.agent.beat({ capacity: roomFor(1)!, running_contracts: [id] });
    await beat();
    expect(await rentAll(market)).toBe(0); // Perhaps it has been taken out already, perhaps not.
    market.coordinator.clock.jump(2 * MINUTE_MS);
    await beat();
    expect(await rentAll(market)).toBe(1);
  });

  it('is free again when a place is, and for what was built there when the agent says so', async () => {
    const market = await marketWith({ capacity: roomFor(2)! });
    const unbuilt = await rent(market);
    await cancel(market, unbuilt.id);
    await checkCounts(market);
    const { id } = await rentAndLease(market);
    await market.agent.beat({ capacity: roomFor(1)!, capacity_includes: [id] });
    expect(await rentAll(market)).toBe(1);
    await cancel(market, id);
    expect(await rentAll(market)).toBe(0); // The instance is still there.
    const leases = await market.agent.lease();
    const destroy = leases.find(({ kind }) => kind === 'destroy')!;
    await market.agent.report('destroyed', id, { epoch: destroy.epoch });
    await checkCounts(market);
    expect(await rentAll(market)).toBe(0); // The last look still says that there is room for one.
    await market.agent.beat({ capacity: roomFor(2)!, capacity_includes: [] });
    expect(await rentAll(market)).toBe(1);
  });

  it('of an agent that was not heard of lately is not sold, and what it runs is not in the way of others', async () => {
    const market = await marketWith({ capacity: roomFor(1)! });
    const { id } = await rentAndLease(market);
    await market.agent.beat({ capacity: roomFor(0)!, capacity_includes: [id] });
    market.coordinator.clock.jump(MINUTE_MS);
    expect(await shown(market)).toMatchObject({ out_of_stock: 'offline' });
    const other = await addAgent(market, 'other');
    await other.beat({ capacity: roomFor(2)! });
    expect(await rentAll(market)).toBe(2);
  });

  it('of 10 is sold to 10 of 1,000 who come at once, and 990 are told so', async () => {
    const market = await marketWith({ capacity: roomFor(10)! }, { offering: { places: 1000 } });
    const answers = await Promise.all(Array.from({ length: 1000 }, () => tryToRent(market)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
    const refused = answers.filter(({ status }) => status !== 201);
    expect(refused).toHaveLength(990);
    for (const answer of refused) expect(answer).toMatchObject(NO_ROOM);
    expect(await placesTaken(market)).toBe(10);
    await checkCounts(market);
    expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  }, 60_000);

  it('is sold once by three coordinators on one database', async () => {
    const coordinator = await startTestCoordinator({ clock: new ManualClock(Date.now()) });
    const market = await marketWith({ capacity: roomFor(10)! }, { coordinator });
    const seed = createHash('sha256').update('test key renter').digest('hex');
    const file = path.join(import.meta.dirname, '../contracts/testing/rent-program.ts');
    const parameters = [coordinator.folder, market.offering.id, '15', seed, sshKeyOf('renter')];
    const programs = Array.from({ length: 3 }, () => runProgram(file, parameters));
    const outputs = await Promise.all(programs.map(({ finished }) => finished));
    const counts = outputs.map((output) => JSON.parse(output) as Record<string, number>);
    const sum = (name: string) => counts.reduce((total, count) => total + (count[name] ?? 0), 0);
    expect({ rented: sum('rented'), soldOut: sum('OFFERING_SOLD_OUT') }).toEqual({ rented: 10, soldOut: 35 });
    await checkCounts(market);
  }, 60_000);
});

describe('an agent that takes no new work', () => {
  const agentOf = async ({ coordinator, provider }: Market) => {
    const path = `/providers/${provider.key.publicKey}`;
    return expectStatus(await coordinator.client.get<WireProvider>(path), 200).agents[0];
  };

  it('is not sold from, is shown as such, and is again when it is back', async () => {
    const market = await marketWith({ draining: true });
    expect(await tryToRent(market)).toMatchObject({
      status: 409,
      body: { code: 'OFFERING_UNSERVED', detail: expect.stringContaining('maintenance') as string },
    });
    expect(await shown(market)).toMatchObject({ in_stock: false, out_of_stock: 'draining' });
    expect(await agentOf(market)).toMatchObject({ online: true, draining: true, maintenance_until: null });
    await market.agent.beat();
    expect((await tryToRent(market)).status).toBe(201);
    expect(await agentOf(market)).toMatchObject({ draining: false });
  });

  it('in maintenance until a moment is there again from that moment on', async () => {
    const market = await openMarket();
    const until = new Date(market.coordinator.clock.now() + 10_000).toISOString();
    await market.agent.beat({ maintenance_until: until });
    expect(await shown(market)).toMatchObject({ out_of_stock: 'draining' });
    expect(await agentOf(market)).toMatchObject({ maintenance_until: until });
    market.coordinator.clock.jump(10_000);
    expect(await shown(market)).toMatchObject({ in_stock: true });
    expect(await agentOf(market)).toMatchObject({ maintenance_until: null });
  });

  it('is not chosen for what was sold, but another one is, and ends what it has begun', async () => {
    const market = await openMarket();
    const other = await addAgent(market, 'other');
    const begun = await rentAndLease(market);
    await market.agent.beat({ draining: true });
    const fresh = await rent(market);
    expect(await market.agent.lease()).toEqual([]);
    expect(await other.leaseOne()).toMatchObject({ contract_id: fresh.id });
    expect((await market.agent.renew(begun.lease)).status).toBe(200);
    market.coordinator.clock.jump(2 * MINUTE_MS);
    const again = await market.agent.leaseOne();
    expect(again).toMatchObject({ contract_id: begun.id, epoch: 2 });
    await cancel(market, begun.id);
    await destroyInstance(market, begun.id);
  });
});

describe('an order that nobody can serve', () => {
  it('ends at once when the last agent of the pool begins to drain, unless it has been taken', async () => {
    const market = await openMarket();
    const other = await addAgent(market, 'other');
    const taken = await rentAndLease(market);
    const { id } = await rent(market);
    await market.agent.beat({ draining: true });
    expect(await look(market, id)).toMatchObject({ state: 'accepted' });
    await other.beat({ maintenance_until: '2100-01-01T00:00:00.000Z' });
    expect(await look(market, id)).toMatchObject({
      state: 'rejected',
      release: 'none',
      last_error: { code: 'OFFERING_UNSERVED' },
    });
    expect(await settledMoney(market, id)).toMatchObject({ released: 0n, refunded: 100_000_000n });
    expect(await look(market, taken.id)).toMatchObject({ state: 'provisioning' });
  });

  it('fails at once when every agent has said so, with its money back and the reason', async () => {
    const market = await openMarket();
    const other = await addAgent(market, 'other');
    const { id, lease } = await rentAndLease(market);
    await market.agent.giveBack(lease, true, 'unsupported');
    expect(await look(market, id)).toMatchObject({ state: 'provisioning', last_error: null });
    const second = await other.leaseOne();
    expect((await other.giveBack(second, true, 'capacity')).status).toBe(204);
    const failed = await look(market, id);
    expect(failed).toMatchObject({
      state: 'failed',
      last_error: { code: 'OFFERING_UNSERVED', remedy: expect.stringContaining('money back') as string },
    });
    expect(await settledMoney(market, id)).toMatchObject({ released: 0n, refunded: 100_000_000n });
    expect(market.coordinator.logged).toContainEqual(
      expect.objectContaining({ msg: 'contract.unserved', contract: id }),
    );
    await destroyInstance(market, id);
    expect(await placesTaken(market)).toBe(0);
  });

  it('does not wait for agents that are offline, draining, revoked or may not provision', async () => {
    const market = await openMarket();
    await addAgent(market, 'sleeper');
    market.coordinator.clock.jump(MINUTE_MS);
    await market.agent.beat();
    const drained = await addAgent(market, 'drained');
    await drained.beat({ draining: true });
    const { id, lease } = await rentAndLease(market);
    await market.agent.giveBack(lease, true, 'capacity');
    expect(await look(market, id)).toMatchObject({ state: 'failed' });
  });

  it('goes on waiting where a backend only does not answer, or something may have been made', async () => {
    const market = await openMarket();
    const { id, lease } = await rentAndLease(market);
    await market.agent.giveBack(lease, true, 'backend_unavailable');
    market.coordinator.clock.jump(5000);
    const again = await market.agent.leaseOne();
    await market.agent.giveBack(again, false, 'capacity');
    expect(await look(market, id)).toMatchObject({ state: 'provisioning' });
  });
});
