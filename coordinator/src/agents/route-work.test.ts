import { describe, expect, it } from 'vitest';
import { reportStats } from '../admin/admin-reports.ts';
import { makeOffering, makePool } from '../testing/people.ts';
import {
  addAgent,
  cancel,
  look,
  openMarket,
  pass,
  rent,
  reaches,
  settledMoney,
  type Market,
} from '../testing/rental.ts';

/** A market whose offering names a country, with an agent in each of two pools there. */
async function countryMarket() {
  const market = await openMarket();
  const { coordinator, provider } = market;
  const second = { key: provider.key, poolId: await makePool(coordinator, provider.key) };
  const elsewhere = { key: provider.key, poolId: await makePool(coordinator, provider.key, 'FR') };
  const other = await addAgent({ coordinator, provider: second }, 'other');
  const french = await addAgent({ coordinator, provider: elsewhere }, 'french');
  const offering = await makeOffering(coordinator, provider, { pool_id: undefined as never });
  return { ...market, offering: offering, other, french };
}

const FULL = { capacity: { cpu: 0, memory_mb: 0, disk_gb: 0, instances: 0 } };
const ROOM = { capacity: { cpu: 64, memory_mb: 65_536, disk_gb: 1000, instances: 9 } };

describe('An offering of a location', () => {
  it('is served by any of the provider’s pools there, and by no other', async () => {
    const market = await countryMarket();
    await market.agent.beat(FULL);
    const { id } = await rent(market);
    expect(await market.french.lease()).toEqual([]);
    expect(await market.agent.lease()).toEqual([]);
    expect(await market.other.leaseOne()).toMatchObject({ contract_id: id });
  });

  it('goes to another pool when the first one’s agents drain', async () => {
    const market = await countryMarket();
    await market.agent.beat(ROOM);
    const { id } = await rent(market);
    await market.agent.beat({ ...ROOM, draining: true });
    expect(await look(market, id)).toMatchObject({ state: 'accepted', last_error: null });
    expect(await market.other.leaseOne()).toMatchObject({ contract_id: id });
  });

  it('goes to another pool when an agent hands it back, and ends when nobody is left there', async () => {
    const market = await countryMarket();
    await market.agent.beat(ROOM);
    const { id } = await rent(market);
    await market.agent.giveBack(await market.agent.leaseOne(), true, 'backend_unavailable');
    const second = await market.other.leaseOne();
    expect(second).toMatchObject({ contract_id: id });
    await market.other.giveBack(second, true, 'unsupported');
    expect(await look(market, id)).toMatchObject({ state: 'provisioning' });
    market.coordinator.clock.jump(5_000);
    await market.agent.giveBack(await market.agent.leaseOne(), true, 'unsupported');
    expect(await look(market, id)).toMatchObject({
      state: 'failed',
      last_error: { code: 'OFFERING_UNSERVED' },
    });
    expect(await settledMoney(market, id)).toMatchObject({ released: 0n });
  });

  it('is not offered where the provider has no pool', async () => {
    const { coordinator, provider } = await openMarket();
    await expect(
      makeOffering(coordinator, provider, { pool_id: undefined as never, country: 'JP' }),
    ).rejects.toThrow('POOL_NOT_FOUND');
  });
});

describe('An order whose agent is not heard of any more', () => {
  const until = async (market: Market, id: string) => {
    await pass(market.coordinator, 60_000);
    await market.coordinator.clock.advance(11_000);
    return look(market, id);
  };

  it('is told so at once, goes on when the agent is back, and forgets it then', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    expect(await until(market, id)).toMatchObject({
      state: 'accepted',
      last_error: { code: 'OFFERING_UNSERVED', remedy: expect.stringContaining('money back') as string },
    });
    expect(market.coordinator.logged).toContainEqual(
      expect.objectContaining({ msg: 'contract.waiting', contract: id }),
    );
    await market.agent.beat();
    await market.agent.leaseOne();
    expect(await look(market, id)).toMatchObject({ state: 'provisioning', last_error: null });
  });

  it('is told to the administrator, by metrics and by the command line', async () => {
    const market = await openMarket();
    const { context, metrics } = market.coordinator;
    metrics.observe(context, 'test');
    const { id } = await rent(market);
    expect(await metrics.registry.render()).toContain('dc_orders_unserved 0\n');
    expect(await metrics.registry.render()).toContain('dc_offerings{stock="available"} 1\n');
    await until(market, id);
    expect(await metrics.registry.render()).toContain('dc_orders_unserved 1\n');
    expect(await metrics.registry.render()).toContain('dc_offerings{stock="offline"} 1\n');
    metrics.stop();
    const { text } = await reportStats(context.db.read);
    expect(text).toContain(`waits for an agent: contract ${id}`);
  });

  it('goes to another pool of its location', async () => {
    const market = await countryMarket();
    await market.agent.beat(ROOM);
    const { id } = await rent(market);
    market.coordinator.clock.jump(60_000);
    await market.other.beat();
    await market.coordinator.clock.advance(11_000);
    expect(await market.other.leaseOne()).toMatchObject({ contract_id: id });
  });
});

describe('What an agent hands back', () => {
  it('comes again later each time, and at once when the reason has gone', async () => {
    const market = await openMarket();
    await addAgent(market, 'other'); // Somebody could serve it: it does not end.
    const { id } = await rent(market);
    const pauses: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      await market.agent.giveBack(await market.agent.leaseOne(), false, 'backend_unavailable');
      let waited = 0;
      while ((await open(market)) === 0) {
        market.coordinator.clock.jump(5_000);
        waited += 5;
      }
      pauses.push(waited);
    }
    expect(pauses).toEqual([5, 10, 20, 40]);
    // However often, it is never longer than five minutes.
    await market.coordinator.context.db.write((trx) =>
      trx.updateTable('hand_backs').set({ times: 1_000 }).execute(),
    );
    await market.agent.giveBack(await market.agent.leaseOne(), false, 'backend_unavailable');
    market.coordinator.clock.jump(299_000);
    expect(await open(market)).toBe(0);
    market.coordinator.clock.jump(1_000);
    expect(await open(market)).toBe(1);
    await market.agent.giveBack(await market.agent.leaseOne(), false, 'backend_unavailable');
    expect(await open(market, { healthy: false })).toBe(0);
    expect(await open(market, { healthy: true })).toBe(1);
    expect(await look(market, id)).toMatchObject({ state: 'provisioning' });
  });

  it('for want of room comes again when there is more of it', async () => {
    const market = await openMarket();
    await market.agent.beat(ROOM);
    await rent(market);
    const lease = await market.agent.leaseOne();
    await market.agent.giveBack(lease, false, 'capacity');
    expect(await market.agent.lease()).toEqual([]);
    await market.agent.beat(ROOM);
    expect(await market.agent.lease()).toEqual([]);
    await market.agent.beat({ capacity: { ...ROOM.capacity, instances: 10 } });
    expect(await market.agent.lease()).toHaveLength(1);
  });
});

describe('An announcement', () => {
  it('is on the contracts that run there, until it is over or they have ended', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    await market.agent.leaseOne();
    expect((await look(market, id)).notice).toBeNull();
    await market.agent.beat({ draining: true });
    expect((await look(market, id)).notice).toMatchObject({ code: 'draining', until: null });
    const until = new Date(market.coordinator.clock.now() + 60_000).toISOString();
    await market.agent.beat({ maintenance_until: until });
    expect((await look(market, id)).notice).toMatchObject({ code: 'maintenance', until });
    market.coordinator.clock.jump(60_000);
    expect((await look(market, id)).notice).toBeNull();
    await market.agent.beat({ draining: true });
    await cancel(market, id);
    expect((await reaches(market, id, 'cancelled')).notice).toBeNull();
  });
});

/** How much the agent could lease now. */
async function open({ coordinator, agent }: Market, words = {}): Promise<number> {
  const body = { version: '1', running_contracts: [], ...words };
  const answer = await coordinator.client.post('/agents/heartbeat', body, { key: agent.key });
  return Number(answer.body['open_work']);
}
