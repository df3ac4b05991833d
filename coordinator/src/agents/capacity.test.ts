import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { hashIncluded, signCapacity, type CapacityStatement } from '@dc/shared/evidence/capacity';
import type { WireOffering, WireProvider } from '@dc/shared/wire/offering';
import { describe, expect, it } from 'vitest';
import { expectStatus, keyOf } from '../testing/people.ts';
import { addAgent, openMarket, rent, tryToRent, type Market } from '../testing/rental.ts';
import type { AgentPlayer } from '../testing/agent-player.ts';

const MINUTE_MS = 60_000;
type Change = Partial<Omit<CapacityStatement, 'seen_at' | 'expires_at'>> & {
  ageMs?: number;
  lifeMs?: number;
};

/** A heartbeat with a statement: room for three of the test's offering, unless `change` says otherwise. */
function stating(
  { coordinator }: Pick<Market, 'coordinator'>,
  key: SigningKey,
  { ageMs = 0, lifeMs = 3 * MINUTE_MS, ...change }: Change = {},
  includes: string[] = [],
) {
  const seenAt = coordinator.clock.now() - ageMs;
  const statement = {
    environment: 'test',
    backend: null,
    seen_at: new Date(seenAt).toISOString(),
    expires_at: new Date(seenAt + lifeMs).toISOString(),
    cpu: 6,
    memory_mb: 12_288,
    instances: 3,
    storages: [{ name: 'a', free_gb: 120 }],
    addresses: null,
    port_blocks: null,
    includes: hashIncluded(includes),
    ...change,
  };
  return { capacity_statement: signCapacity(statement, key), capacity_includes: includes };
}

async function marketWith(change: Change = {}): Promise<Market> {
  const market = await openMarket({ offering: { places: 100 } });
  await market.agent.beat(stating(market, market.agent.key, change));
  return market;
}

/** How often it can be rented, up to 20 times. */
async function rentAll(market: Market): Promise<number> {
  for (let count = 0; count < 20; count += 1) if ((await tryToRent(market)).status !== 201) return count;
  return 20;
}

const shown = async ({ coordinator, offering }: Market) =>
  expectStatus(await coordinator.client.get<WireOffering>(`/offerings/${offering.id}`), 200);

const post = (market: Market, agent: AgentPlayer, body: object) =>
  market.coordinator.client.post(
    '/agents/heartbeat',
    { version: '1', running_contracts: [], ...body },
    { key: agent.key },
  );

describe('A signed statement of capacity', () => {
  it.each<[string, Change]>([
    ['processors', { cpu: 7.9 }],
    ['memory', { cpu: 1e6 }],
    ['instances', { cpu: 1e6, memory_mb: 1e9, storages: [{ name: 'a', free_gb: 1e9 }] }],
    [
      'addresses',
      { instances: 99, cpu: 1e6, memory_mb: 1e9, storages: [{ name: 'a', free_gb: 1e9 }], addresses: 3 },
    ],
    [
      'port blocks',
      { instances: 99, cpu: 1e6, memory_mb: 1e9, storages: [{ name: 'a', free_gb: 1e9 }], port_blocks: 3 },
    ],
    ['disk', { instances: 99, cpu: 1e6, memory_mb: 1e9 }],
    [
      'disk by storage: what two have left together is no disk',
      {
        instances: 99,
        cpu: 1e6,
        memory_mb: 1e9,
        storages: [
          { name: 'a', free_gb: 119 },
          { name: 'b', free_gb: 59 },
        ],
      },
    ],
  ])('limits what is sold by %s', async (_what, change) => {
    const market = await marketWith(change);
    expect(await rentAll(market)).toBe(3);
    expect(await shown(market)).toMatchObject({ in_stock: false, out_of_stock: 'no_capacity' });
  });

  it('sells nothing once it has expired, and again when there is a new one', async () => {
    const market = await marketWith({ lifeMs: 40_000 });
    market.coordinator.clock.jump(30_000);
    await market.agent.beat(stating(market, market.agent.key, { ageMs: 30_000, lifeMs: 40_000 }));
    expect((await shown(market)).in_stock).toBe(true);
    market.coordinator.clock.jump(10_000);
    expect(await shown(market)).toMatchObject({ out_of_stock: 'no_capacity' });
    expect(await rentAll(market)).toBe(0);
    await market.agent.beat(stating(market, market.agent.key));
    expect(await rentAll(market)).toBe(3);
  });

  it('is kept word for word', async () => {
    const market = await openMarket();
    const beat = stating(market, market.agent.key);
    await market.agent.beat(beat);
    const row = await market.coordinator.context.db.read
      .selectFrom('capacities')
      .select('statement')
      .executeTakeFirstOrThrow();
    expect(row.statement).toBe(beat.capacity_statement);
  });

  it.each<[string, (market: Market) => object]>([
    ['by another key', (market) => stating(market, keyOf('somebody else'))],
    ['for another environment', (market) => stating(market, market.agent.key, { environment: 'prod' })],
    ['that is good for too long', (market) => stating(market, market.agent.key, { lifeMs: 11 * MINUTE_MS })],
    [
      'that is bound to another list',
      (market) => ({
        ...stating(market, market.agent.key, { cpu: 7 }),
        capacity_includes: ['01890000-0000-7000-8000-000000000001'],
      }),
    ],
    [
      'that was changed',
      (market) => {
        const { capacity_statement: compact } = stating(market, market.agent.key);
        const [head = '', , signature = ''] = compact.split('.');
        const payload = Buffer.from(JSON.stringify({ cpu: 1e6 })).toString('base64url');
        return { capacity_statement: `${head}.${payload}.${signature}` };
      },
    ],
  ])('%s is refused, and the heartbeat with it', async (_what, make) => {
    const market = await marketWith();
    const answer = await post(market, market.agent, make(market));
    expect(answer).toMatchObject({ status: 400, body: { code: 'CAPACITY_INVALID' } });
    expect(await rentAll(market)).toBe(3);
  });
});

describe('Room', () => {
  it('is one agent’s for the whole of a contract: what two have left over is none', async () => {
    const market = await marketWith({ cpu: 3 });
    const other = await addAgent(market, 'other');
    await other.beat(stating(market, other.key, { cpu: 3 }));
    expect(await rentAll(market)).toBe(2);
  });

  it('of one backend is one, however many agents of the provider state it', async () => {
    const market = await marketWith({ backend: 'cluster-7' });
    const other = await addAgent(market, 'other');
    await other.beat(stating(market, other.key, { backend: 'cluster-7' }));
    expect(await rentAll(market)).toBe(3);
    // Neither look has seen them yet: they count against both.
    await other.beat(stating(market, other.key, { backend: 'cluster-7' }));
    expect(await rentAll(market)).toBe(0);
    await market.agent.beat(stating(market, market.agent.key, { backend: 'cluster-7' }));
    expect(await rentAll(market)).toBe(0);
    await other.beat(stating(market, other.key, { backend: 'cluster-8' }));
    expect(await rentAll(market)).toBe(3);
  });

  it('goes with the order to the agent that takes it, if that one has room', async () => {
    const market = await marketWith();
    const small = await addAgent(market, 'small');
    await small.beat(stating(market, small.key, { cpu: 2 }));
    await rent(market);
    await rent(market);
    expect(await small.lease()).toHaveLength(1);
    expect(await small.lease()).toEqual([]);
    expect(await rentAll(market)).toBe(2);
  });

  it('of an agent whose backend does not work is not sold', async () => {
    const market = await marketWith();
    await market.agent.beat({ ...stating(market, market.agent.key), healthy: false });
    expect(await tryToRent(market)).toMatchObject({ status: 409, body: { code: 'OFFERING_UNSERVED' } });
    expect(await shown(market)).toMatchObject({ out_of_stock: 'unhealthy' });
    const { coordinator, provider } = market;
    const seen = await coordinator.client.get<WireProvider>(`/providers/${provider.key.publicKey}`);
    expect(expectStatus(seen, 200).agents).toMatchObject([{ online: true, healthy: false }]);
    expect(await market.agent.lease()).toEqual([]);
  });

  it('that turned out to be none is not sold again before the agent has looked', async () => {
    const market = await marketWith();
    await rent(market);
    const lease = await market.agent.leaseOne();
    await market.agent.giveBack(lease, true, 'capacity');
    await market.agent.beat(stating(market, market.agent.key, { ageMs: 1 }));
    expect(await rentAll(market)).toBe(0);
    market.coordinator.clock.jump(1_000);
    await market.agent.beat(stating(market, market.agent.key));
    expect(await rentAll(market)).toBeGreaterThan(0);
  });
});

describe('A contract in question', () => {
  it('is told to be another’s while another agent of the provider answers for it', async () => {
    const market = await openMarket();
    const other = await addAgent(market, 'other');
    const { id } = await rent(market);
    const ask = async (agent: AgentPlayer) =>
      expectStatus(await post(market, agent, { in_question: [id] }), 200)['held_elsewhere'];
    expect(await ask(other)).toBeUndefined();
    await market.agent.leaseOne();
    expect(await ask(other)).toEqual([id]);
    expect(await ask(market.agent)).toBeUndefined();
  });
});
