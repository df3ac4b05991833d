import { beforeEach, describe, expect, it } from 'vitest';
import { RECORD_KINDS } from '@dc/shared/evidence/record';
import type { AgentPlayer } from '../testing/agent-player.ts';
import { makeProvider } from '../testing/people.ts';
import {
  addAgent,
  atPrivateAddress,
  cancel,
  look,
  moneyOf,
  openMarket,
  placesTaken,
  reaches,
  rent,
  rentAndLease,
  rentUntilActive,
  type Market,
} from '../testing/rental.ts';

let market: Market;
beforeEach(async () => {
  market = await openMarket();
});

const notApplied = (code: string) => ({ outcome: 'not_applied', code });

describe('a record', () => {
  it.each(RECORD_KINDS)('%s, about a contract that is another agent’s, is foreign', async (kind) => {
    const { id } = await rentAndLease(market);
    const spy = await addAgent(
      { coordinator: market.coordinator, provider: await makeProvider(market.coordinator, 'rival') },
      'spy',
    );
    const neighbour = await addAgent(market, 'neighbour');
    const before = await look(market, id);
    for (const agent of [spy, neighbour])
      expect(await agent.report(kind, id, { data: atPrivateAddress })).toMatchObject(
        notApplied('RECORD_FOREIGN'),
      );
    expect(await look(market, id)).toEqual(before);
  });

  it.each(RECORD_KINDS)('%s, of another environment, is foreign', async (kind) => {
    const { id } = await rentAndLease(market);
    const words = { environment: 'prod', data: atPrivateAddress };
    expect(await market.agent.report(kind, id, words)).toMatchObject(notApplied('RECORD_FOREIGN'));
    expect((await look(market, id)).state).toBe('provisioning');
  });

  it.each(RECORD_KINDS)('%s, about a contract that nobody leased or knows, is foreign', async (kind) => {
    const { id } = await rent(market);
    for (const contract of [id, '01993b5e-0000-7000-8000-000000000000', 'x'])
      expect(await market.agent.report(kind, contract, { data: atPrivateAddress })).toMatchObject(
        notApplied('RECORD_FOREIGN'),
      );
  });

  it.each(['health', 'password_reset', 'ssh_key_rotated', 'stopped', 'started'] as const)(
    '%s, is a fact that moves nothing',
    async (kind) => {
      const { id } = await rentUntilActive(market);
      const before = await look(market, id);
      expect(await market.agent.report(kind, id)).toMatchObject({ outcome: 'applied' });
      expect(await look(market, id)).toEqual(before);
    },
  );
});

describe('provisioned', () => {
  it('with an access that cannot be used is kept, and the contract waits for a better one', async () => {
    const { id } = await rentAndLease(market);
    const bad = { access: { ...atPrivateAddress.access, user: '$(reboot)' } };
    expect(await market.agent.report('provisioned', id, { data: bad })).toMatchObject(
      notApplied('RECORD_INVALID'),
    );
    expect(await market.agent.report('provisioned', id, {})).toMatchObject(notApplied('RECORD_INVALID'));
    expect(await look(market, id)).toMatchObject({ state: 'provisioning', access: null });
    expect(await market.agent.report('provisioned', id, { data: atPrivateAddress })).toMatchObject({
      outcome: 'applied',
    });
    await reaches(market, id, 'active');
  });

  it('a second time contradicts the first', async () => {
    const { id } = await rentUntilActive(market);
    const moved = { access: { ...atPrivateAddress.access, host: '10.6.6.6' } };
    expect(await market.agent.report('provisioned', id, { data: moved })).toMatchObject(
      notApplied('RECORD_CONTRADICTS'),
    );
    expect((await look(market, id)).access?.host).toBe('10.1.2.3');
  });
});

describe('failed', () => {
  it('for a contract that runs contradicts it, and refunds nothing', async () => {
    const { id } = await rentUntilActive(market);
    expect(await market.agent.report('failed', id)).toMatchObject(notApplied('RECORD_CONTRADICTS'));
    expect(await look(market, id)).toMatchObject({ state: 'active', last_error: null });
    expect(await moneyOf(market, id)).toMatchObject({ refunded: 0n });
  });

  it('ends the work, so that nobody tries again', async () => {
    const { id } = await rentAndLease(market);
    await market.agent.report('failed', id, { data: { code: 'PROVISIONER_FAILED' } });
    const work = await market.coordinator.context.db.read
      .selectFrom('work')
      .select(['kind', 'state'])
      .where('contract_id', '=', id)
      .orderBy('kind', 'desc')
      .execute();
    expect(work).toEqual([
      { kind: 'provision', state: 'done' },
      { kind: 'destroy', state: 'open' },
    ]);
  });
});

describe('destroyed', () => {
  let agent: AgentPlayer;
  beforeEach(() => {
    ({ agent } = market);
  });

  it('for a contract that lives has no effect', async () => {
    const { id } = await rentUntilActive(market);
    expect(await agent.report('destroyed', id)).toMatchObject(notApplied('RECORD_CONTRADICTS'));
    expect(await look(market, id)).toMatchObject({ state: 'active', release: 'none' });
    expect(await placesTaken(market)).toBe(1);
  });

  it('counts as proof under any epoch, and before the order for it was even leased', async () => {
    const { id } = await rentUntilActive(market);
    await cancel(market, id);
    expect(await agent.report('destroyed', id, { epoch: 0 })).toMatchObject({ outcome: 'applied' });
    expect(await look(market, id)).toMatchObject({ state: 'cancelled', release: 'released' });
    expect(await placesTaken(market)).toBe(0);
    expect(await agent.lease()).toEqual([]);
  });

  it('ends the lease of its order', async () => {
    const { id } = await rentUntilActive(market);
    await cancel(market, id);
    const lease = await agent.leaseOne();
    await agent.report('destroyed', id, { epoch: lease.epoch });
    expect(await agent.renew(lease)).toMatchObject({ status: 409, body: { code: 'LEASE_STALE' } });
    market.coordinator.clock.jump(120_000);
    expect(await agent.lease()).toEqual([]);
  });
});
