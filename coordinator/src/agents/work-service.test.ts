import { beforeEach, describe, expect, it } from 'vitest';
import { FIRST_LEASE_MS_MAX, type WireLease } from '@dc/shared/wire/agent';
import { verifyOrder } from '@dc/shared/orders/order';
import type { AgentPlayer } from '../testing/agent-player.ts';
import { expectStatus, makeAccount, makePool, makeProvider } from '../testing/people.ts';
import {
  addAgent,
  atPrivateAddress,
  cancel,
  look,
  openMarket,
  reaches,
  rent,
  rentAndLease,
  rentUntilActive,
  sshKeyOf,
  type Market,
} from '../testing/rental.ts';

const LEASE_MS = 60_000;
const RETURN_PAUSE_MS = 5_000;
const STALE = { status: 409, body: { code: 'LEASE_STALE' } };

let market: Market;
beforeEach(async () => {
  market = await openMarket({ offering: { places: 50 } });
});

/** The order of a lease, as the agent checks it. */
function read(lease: WireLease, agent: AgentPlayer = market.agent) {
  const { context, clock } = market.coordinator;
  return verifyOrder(lease.order, {
    coordinatorKeys: [context.key.publicKey],
    agentKey: agent.key.publicKey,
    environment: 'test',
    nowMs: clock.now(),
  });
}

describe('a lease', () => {
  it('comes with an order that the agent can check, and that says what to build', async () => {
    const { id, lease } = await rentAndLease(market);
    const { clock } = market.coordinator;
    expect(lease).toMatchObject({
      contract_id: id,
      kind: 'provision',
      epoch: 1,
      ttl_ms: FIRST_LEASE_MS_MAX,
      expires_at: new Date(clock.now() + FIRST_LEASE_MS_MAX).toISOString(),
    });
    expect(read(lease)).toEqual({
      iss: market.coordinator.context.key.publicKey,
      aud: market.agent.key.publicKey,
      sub: id,
      kind: 'provision',
      epoch: 1,
      iat: Math.floor(clock.now() / 1000),
      exp: Math.floor(clock.now() / 1000) + 300,
      jti: lease.order_id,
      environment: 'test',
      spec: {
        offering_id: market.offering.id,
        cpu: 2,
        memory_mb: 4096,
        disk_gb: 40,
        operating_system: 'debian-12',
        ssh_public_key: sshKeyOf('renter'),
      },
    });
  });

  it('is had once: who asks again gets what is left', async () => {
    for (let count = 0; count < 3; count += 1) await rent(market);
    expect(await market.agent.lease(2)).toHaveLength(2);
    expect(await market.agent.lease(2)).toHaveLength(1);
    expect(await market.agent.lease(2)).toEqual([]);
  });

  it('is given to the oldest contract first', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 3; count += 1) {
      ids.push((await rent(market)).id);
      await market.coordinator.clock.advance(2);
    }
    expect((await market.agent.lease()).map((lease) => lease.contract_id)).toEqual(ids);
  });

  it('is had by one of two agents that ask at the same time', async () => {
    const other = await addAgent(market, 'other');
    for (let count = 0; count < 12; count += 1) await rent(market);
    const leases = (
      await Promise.all(
        Array.from({ length: 8 }, (_, turn) => (turn % 2 === 0 ? other : market.agent).lease(3)),
      )
    ).flat();
    expect(leases).toHaveLength(12);
    expect(new Set(leases.map(({ order_id }) => order_id)).size).toBe(12);
  });

  it('is taken from an agent that may not provision', async () => {
    await rent(market);
    const { client } = market.coordinator;
    expect(await client.post('/agents/work/lease', {}, { key: market.renter })).toMatchObject({
      status: 403,
    });
    expect(await client.post('/agents/work/lease', { max: 101 }, { key: market.agent.key })).toMatchObject({
      status: 400,
    });
  });

  it('that ran out goes to the same agent again, under a higher epoch', async () => {
    const { id, lease } = await rentAndLease(market);
    market.coordinator.clock.jump(FIRST_LEASE_MS_MAX - 1);
    expect(await market.agent.lease()).toEqual([]);
    market.coordinator.clock.jump(1);
    const again = await market.agent.leaseOne();
    expect(again).toMatchObject({ order_id: lease.order_id, epoch: 2 });
    expect(read(again)).toMatchObject({ epoch: 2, jti: lease.order_id });
    expect((await look(market, id)).state).toBe('provisioning');
    expect(await market.agent.renew(lease)).toMatchObject(STALE);
    expect(await market.agent.giveBack(lease, true)).toMatchObject(STALE);
    expect((await market.agent.renew(again)).status).toBe(200);
  });

  it('has an epoch that only rises, through every lease that a contract sees', async () => {
    const { id, lease } = await rentAndLease(market);
    const epochs = [lease.epoch];
    for (let count = 0; count < 3; count += 1) {
      market.coordinator.clock.jump(LEASE_MS);
      epochs.push((await market.agent.leaseOne()).epoch);
    }
    await cancel(market, id);
    for (let count = 0; count < 2; count += 1) {
      epochs.push((await market.agent.leaseOne()).epoch);
      market.coordinator.clock.jump(LEASE_MS);
    }
    expect(epochs).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

describe('renewing', () => {
  it('keeps a lease for as long as it goes on', async () => {
    const { lease } = await rentAndLease(market);
    market.coordinator.clock.jump(FIRST_LEASE_MS_MAX - 1);
    for (let count = 0; count < 5; count += 1) {
      const answer = await market.agent.renew(lease);
      expect(expectStatus(answer, 200)).toEqual({
        epoch: 1,
        expires_at: new Date(market.coordinator.clock.now() + LEASE_MS).toISOString(),
        ttl_ms: LEASE_MS,
      });
      market.coordinator.clock.jump(LEASE_MS - 1);
    }
    expect(await market.agent.lease()).toEqual([]);
  });

  it('brings back a lease that ran out while nobody took it', async () => {
    const { lease } = await rentAndLease(market);
    market.coordinator.clock.jump(3 * LEASE_MS);
    expect((await market.agent.renew(lease)).status).toBe(200);
    expect(await market.agent.lease()).toEqual([]);
  });

  it('says that the contract has ended', async () => {
    const { id, lease } = await rentAndLease(market);
    await cancel(market, id);
    expect(await market.agent.renew(lease)).toMatchObject(STALE);
    expect(await market.agent.giveBack(lease, true)).toMatchObject(STALE);
  });

  it('says that the work is done', async () => {
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('provisioned', id, { data: atPrivateAddress });
    expect(await market.agent.renew(lease)).toMatchObject(STALE);
  });

  it.each([0, 2, 99])('under epoch %j, which is not the lease’s, is refused', async (epoch) => {
    const { lease } = await rentAndLease(market);
    const answer = await market.agent.renew({ ...lease, epoch });
    expect(answer).toMatchObject(epoch === 0 ? { status: 400 } : STALE);
  });

  it('of another agent’s lease in the same pool is stale', async () => {
    const { lease } = await rentAndLease(market);
    const other = await addAgent(market, 'other');
    expect(await other.renew(lease)).toMatchObject(STALE);
    expect(await other.giveBack(lease, true)).toMatchObject(STALE);
  });

  it('of an order of another pool or provider is like one that is not there', async () => {
    const { lease } = await rentAndLease(market);
    const { coordinator, provider } = market;
    const farPool = { key: provider.key, poolId: await makePool(coordinator, provider.key, 'FR') };
    const far = await addAgent({ coordinator, provider: farPool }, 'far');
    const foreign = await addAgent(
      { coordinator, provider: await makeProvider(coordinator, 'rival') },
      'spy',
    );
    const unknown = { ...lease, order_id: '01993b5e-0000-7000-8000-000000000000' };
    const missing = { status: 404, body: { code: 'ORDER_NOT_FOUND' } };
    for (const agent of [far, foreign]) {
      expect(await agent.lease()).toEqual([]);
      expect(await agent.renew(lease)).toMatchObject(missing);
      expect(await agent.giveBack(lease, true)).toMatchObject(missing);
    }
    expect(await market.agent.renew(unknown)).toMatchObject(missing);
    expect((await market.agent.renew(lease)).status).toBe(200);
  });
});

describe('work sticks to its agent', () => {
  let other: AgentPlayer;
  beforeEach(async () => {
    other = await addAgent(market, 'other');
  });

  it('while it holds the lease, and after that ran out', async () => {
    await rentAndLease(market);
    expect(await other.lease()).toEqual([]);
    market.coordinator.clock.jump(10 * LEASE_MS);
    expect(await other.lease()).toEqual([]);
    expect(await market.agent.leaseOne()).toMatchObject({ epoch: 2 });
  });

  it('when it hands the order back and may have made something', async () => {
    const { id, lease } = await rentAndLease(market);
    expect((await market.agent.giveBack(lease, false)).status).toBe(204);
    market.coordinator.clock.jump(RETURN_PAUSE_MS);
    expect(await other.lease()).toEqual([]);
    expect(await market.agent.leaseOne()).toMatchObject({ contract_id: id, epoch: 2 });
  });

  it('when a lease before this one was never handed back: a second process with its key may have built', async () => {
    const { id } = await rentAndLease(market);
    market.coordinator.clock.jump(10 * LEASE_MS);
    const again = await market.agent.leaseOne();
    expect((await market.agent.giveBack(again, true)).status).toBe(204);
    market.coordinator.clock.jump(RETURN_PAUSE_MS);
    expect(await other.lease()).toEqual([]);
    expect(await market.agent.leaseOne()).toMatchObject({ contract_id: id, epoch: 3 });
  });

  it('until it hands the order back and knows that it made nothing', async () => {
    const { id, lease } = await rentAndLease(market);
    expect((await market.agent.giveBack(lease, true)).status).toBe(204);
    expect(await market.agent.lease()).toEqual([]);
    const taken = await other.leaseOne();
    expect(taken).toMatchObject({ order_id: lease.order_id, contract_id: id, epoch: 2 });
    expect(read(taken, other)).toMatchObject({ aud: other.key.publicKey });
    expect((await look(market, id)).state).toBe('provisioning');

    // What the first one reports after all has no effect; what the second one reports does.
    const words = { epoch: 1, data: atPrivateAddress };
    expect(await market.agent.report('provisioned', id, words)).toMatchObject({ code: 'RECORD_FOREIGN' });
    expect(await other.report('provisioned', id, { ...words, epoch: 2 })).toMatchObject({
      outcome: 'applied',
    });
    await reaches(market, id, 'active');
  });

  it('for its destruction too, whoever asks first', async () => {
    const { id } = await rentUntilActive(market);
    await cancel(market, id);
    expect(await other.lease()).toEqual([]);
    const lease = await market.agent.leaseOne();
    expect(read(lease)).toMatchObject({ kind: 'destroy', tombstone: { contract_id: id } });
    expect((await market.agent.giveBack(lease, true)).status).toBe(204);
    market.coordinator.clock.jump(RETURN_PAUSE_MS);
    expect(await other.lease()).toEqual([]);
    expect(await market.agent.leaseOne()).toMatchObject({ kind: 'destroy', epoch: 3 });
  });

  it('and its reason for handing back is kept', async () => {
    const { lease } = await rentAndLease(market);
    await market.agent.giveBack(lease, true);
    const work = await market.coordinator.context.db.read
      .selectFrom('work')
      .select(['state', 'returned', 'agent_key'])
      .executeTakeFirstOrThrow();
    expect(work).toMatchObject({ state: 'open', agent_key: null });
    expect(JSON.parse(work.returned ?? '')).toMatchObject({
      agent: market.agent.key.publicKey,
      code: 'backend_unavailable',
      detail: 'Not now.',
    });
  });
});

describe('an order that was handed back', () => {
  it('is not offered to the same agent again at once', async () => {
    const { lease } = await rentAndLease(market);
    await market.agent.giveBack(lease, true);
    expect(await market.agent.lease()).toEqual([]);
    market.coordinator.clock.jump(RETURN_PAUSE_MS - 1);
    expect(await market.agent.lease()).toEqual([]);
    market.coordinator.clock.jump(1);
    expect(await market.agent.leaseOne()).toMatchObject({ epoch: 2 });
  });

  it('is cleaned up by any agent of the pool when its contract ends before somebody else takes it', async () => {
    const { id, lease } = await rentAndLease(market);
    await market.agent.giveBack(lease, true);
    await cancel(market, id);
    const other = await addAgent(market, 'other');
    expect(read(await other.leaseOne(), other)).toMatchObject({ kind: 'destroy', sub: id, epoch: 2 });
    expect(await other.report('destroyed', id, { epoch: 2 })).toMatchObject({ outcome: 'applied' });
    expect(await look(market, id)).toMatchObject({ release: 'released' });
  });
});

describe('a result under an old epoch', () => {
  it.each(['provisioned', 'failed'] as const)('%s, is kept and has no effect (I8)', async (kind) => {
    const { id } = await rentAndLease(market);
    market.coordinator.clock.jump(LEASE_MS);
    await market.agent.leaseOne();
    const result = await market.agent.report(kind, id, { epoch: 1, data: atPrivateAddress });
    expect(result).toEqual({ seq: 1, outcome: 'not_applied', code: 'LEASE_STALE' });
    expect((await look(market, id)).state).toBe('provisioning');
    const later = await market.agent.report(kind, id, { epoch: 2, data: atPrivateAddress });
    expect(later).toEqual({ seq: 2, outcome: 'applied' });
  });
});

describe('what waits', () => {
  interface Pending {
    items: { order_id: string; contract_id: string; leased_to: string | null; kind: string }[];
  }

  it('is shown to the provider and its agents, and to nobody else', async () => {
    const { client } = market.coordinator;
    const path = `/providers/${market.provider.key.publicKey}/contracts/pending-provision`;
    const { id } = await rent(market);
    const asProvider = await client.get<Pending>(path, { key: market.provider.key });
    expect(asProvider.body.items).toMatchObject([{ contract_id: id, kind: 'provision', leased_to: null }]);
    const lease = await market.agent.leaseOne();
    const asAgent = await client.get<Pending>(path, { key: market.agent.key });
    expect(asAgent.body.items).toMatchObject([
      { order_id: lease.order_id, leased_to: market.agent.key.publicKey },
    ]);
    await market.agent.giveBack(lease, true);
    const handedBack = await client.get<Pending>(path, { key: market.agent.key });
    expect(handedBack.body.items).toMatchObject([{ order_id: lease.order_id, leased_to: null }]);
    const rival = await makeProvider(market.coordinator, 'rival');
    expect(await client.get(path, { key: rival.key })).toMatchObject({
      status: 403,
      body: { code: 'PERMISSION_DENIED' },
    });
    const renter = await makeAccount(market.coordinator, 'someone');
    expect(await client.get(path, { key: renter })).toMatchObject({ status: 403 });
    await cancel(market, id);
    expect((await client.get<Pending>(path, { key: market.provider.key })).body.items).toEqual([]);
  });

  it('comes page by page, oldest first', async () => {
    const { client } = market.coordinator;
    interface Page extends Pending {
      next_cursor: string | null;
    }
    const path = `/providers/${market.provider.key.publicKey}/contracts/pending-provision?limit=1`;
    const older = await rent(market);
    market.coordinator.clock.jump(1);
    const newer = await rent(market);
    const key = market.provider.key;
    const first = expectStatus(await client.get<Page>(path, { key }), 200);
    expect(first.items).toMatchObject([{ contract_id: older.id }]);
    const second = await client.get<Page>(`${path}&cursor=${String(first.next_cursor)}`, { key });
    expect(second.body).toMatchObject({ items: [{ contract_id: newer.id }], next_cursor: null });
  });

  it('has a list of its own for password resets', async () => {
    const { client } = market.coordinator;
    await rent(market);
    const path = `/providers/${market.provider.key.publicKey}/contracts/pending-password-reset`;
    expect((await client.get<Pending>(path, { key: market.agent.key })).body.items).toEqual([]);
  });
});
