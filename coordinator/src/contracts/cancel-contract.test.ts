import { beforeEach, describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { verifyOrder } from '@dc/shared/orders/order';
import { notify, SlowPayment } from '../payments/testing/slow-payment.ts';
import { expectStatus, makeOffering } from '../testing/people.ts';
import {
  atPrivateAddress,
  cancel,
  contractBecomes,
  destroyInstance,
  HOUR_MS,
  look,
  openMarket,
  pass,
  placesTaken,
  reaches,
  rent,
  rentAndLease,
  rentUntilActive,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { closedPort } from '../testing/ssh-server.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { moveContract } from './contract-service.ts';
import { findContract } from './contract-store.ts';

const PRICE = 100_000_000n; // 10 hours at 0.01 USD.
const ALL_BACK = { paid: PRICE, released: 0n, refunded: PRICE };

let market: Market;
let slow: SlowPayment;
beforeEach(async () => {
  slow = new SlowPayment();
  market = await openMarket({ coordinator: await startTestCoordinator({ payments: [slow] }) });
});

/** Pauses or resumes, as a dispute does. */
async function moveBySystem(id: string, event: 'pause' | 'resume', pausedAt: number | null): Promise<void> {
  const { context } = market.coordinator;
  await context.db.write(async (trx) => {
    const contract = (await findContract(trx, id))!;
    const pausedMs = contract.paused_at === null ? 0 : context.clock.now() - contract.paused_at;
    const note = { event, actor: 'system', reason: 'A dispute.' };
    const change = { paused_at: pausedAt, paused_ms: contract.paused_ms + pausedMs };
    await moveContract(context, trx, contract, { ...note, set: change });
  });
}

async function cancelled(id: string): Promise<WireContract> {
  return expectStatus(await cancel(market, id), 200);
}

async function refundsOf(id: string) {
  return market.coordinator.context.db.read
    .selectFrom('refunds')
    .selectAll()
    .where('contract_id', '=', id)
    .execute();
}

describe('cancelling', () => {
  it('a request that is not paid yet ends it, and nothing is refunded', async () => {
    const { id, state } = await rent(market, { payment_method: 'slow' });
    expect(state).toBe('requested');
    expect(await cancelled(id)).toMatchObject({
      state: 'cancelled',
      release: 'none',
      refunded: null,
      payment: { status: 'pending' },
    });
    expect(await refundsOf(id)).toEqual([]);
    expect(await placesTaken(market)).toBe(0);
  });

  it('an accepted contract refunds all of it, and no agent hears of it', async () => {
    const { id } = await rent(market);
    expect(await cancelled(id)).toMatchObject({ state: 'cancelled', release: 'none' });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect(await placesTaken(market)).toBe(0);
    expect(await market.agent.lease()).toEqual([]);
  });

  it('during provisioning refunds all of it and sends the agent to clean up', async () => {
    const { id, lease } = await rentAndLease(market);
    expect(await cancelled(id)).toMatchObject({ state: 'cancelled', release: 'pending' });
    expect(await market.agent.renew(lease)).toMatchObject({ status: 409, body: { code: 'LEASE_STALE' } });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect(await placesTaken(market)).toBe(1);
    await destroyInstance(market, id);
    expect(await look(market, id)).toMatchObject({ release: 'released' });
    expect(await placesTaken(market)).toBe(0);
  });

  it('a reported instance that nobody has seen yet refunds all of it', async () => {
    const { id, lease } = await rentAndLease(market);
    const access = { ...atPrivateAddress.access, host: '127.0.0.1', port: await closedPort() };
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: { access } });
    await market.coordinator.clock.advance(1000);
    expect(await cancelled(id)).toMatchObject({ state: 'cancelled', release: 'pending', access: null });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
  });

  it('an active contract stops the clock at once and refunds the rest, to the unit', async () => {
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, 4 * HOUR_MS - 1000);
    const shown = (await look(market, id)).refund_if_cancelled_now;
    expect(shown).toEqual({ amount_e9s: '60000000', currency: 'USD' });
    const now = await cancelled(id);
    expect(now).toMatchObject({ state: 'cancelled', release: 'pending', refunded: shown });
    const later = await contractBecomes(market, id, ({ payment }) => payment.status === 'partially_refunded');
    expect(later.refunded).toEqual(shown);
    expect(await settledMoney(market, id)).toEqual({
      paid: PRICE,
      released: 40_000_000n,
      refunded: 60_000_000n,
    });
    // Even where the host is dark for days: what is left is the agent's debt, not the renter's.
    await pass(market.coordinator, 48 * HOUR_MS);
    expect(await settledMoney(market, id)).toMatchObject({ refunded: 60_000_000n });
    await destroyInstance(market, id);
  });

  it('a paused contract does not count the pause as used', async () => {
    const { clock } = market.coordinator;
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, 2 * HOUR_MS - 1000);
    await moveBySystem(id, 'pause', clock.now());
    await pass(market.coordinator, 3 * HOUR_MS - 1000);
    expect(await look(market, id)).toMatchObject({
      state: 'paused',
      refund_if_cancelled_now: { amount_e9s: '80000000' },
    });
    await moveBySystem(id, 'resume', null);
    await pass(market.coordinator, HOUR_MS - 1000);
    await moveBySystem(id, 'pause', clock.now());
    await pass(market.coordinator, HOUR_MS - 1000);
    expect(await cancelled(id)).toMatchObject({ state: 'cancelled' });
    expect(await settledMoney(market, id)).toEqual({
      paid: PRICE,
      released: 30_000_000n,
      refunded: 70_000_000n,
    });
  });

  it('keeps the setup fee once the instance was delivered, and not before', async () => {
    market.offering = await makeOffering(market.coordinator, market.provider, {
      setup_fee: { amount_e9s: '50000000', currency: 'USD' },
    });
    const first = await rent(market);
    expect(first.total.amount_e9s).toBe('150000000');
    await cancelled(first.id);
    expect(await settledMoney(market, first.id)).toMatchObject({ refunded: 150_000_000n });

    const second = await rentUntilActive(market);
    await pass(market.coordinator, 5 * HOUR_MS - 1000);
    await cancelled(second.id);
    expect(await settledMoney(market, second.id)).toEqual({
      paid: 150_000_000n,
      released: 100_000_000n,
      refunded: 50_000_000n,
    });
  });

  it.each(['cancelled', 'expired', 'failed', 'rejected'] as const)(
    'what is %s already is refused',
    async (end) => {
      const { id } = await rent(market);
      if (end === 'cancelled') await cancelled(id);
      if (end === 'rejected') await pass(market.coordinator, HOUR_MS);
      if (end === 'failed') await market.agent.lease().then(() => market.agent.report('failed', id));
      if (end === 'expired') {
        await market.agent.lease();
        await market.agent.report('provisioned', id, { data: atPrivateAddress });
        await reaches(market, id, 'active');
        await pass(market.coordinator, 10 * HOUR_MS);
      }
      const before = await reaches(market, id, end);
      const money = await settledMoney(market, id);
      expect(await cancel(market, id)).toMatchObject({
        status: 409,
        body: {
          code: 'CONTRACT_STATE',
          detail: `The contract is ${end} and does not allow cancel. It has ended.`,
        },
      });
      expect((await look(market, id)).timeline).toEqual(before.timeline);
      expect(await settledMoney(market, id)).toEqual(money);
    },
  );

  it('twice at the same time works once, and there is one refund', async () => {
    const { id } = await rentUntilActive(market);
    const answers = await Promise.all(Array.from({ length: 5 }, () => cancel(market, id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409]);
    expect(await refundsOf(id)).toHaveLength(1);
    await settledMoney(market, id);
  });

  it('with an Idempotency-Key gets the same answer as often as it asks', async () => {
    const { client } = market.coordinator;
    const { id } = await rentUntilActive(market);
    const ask = () =>
      client.post(`/contracts/${id}/cancel`, {}, { key: market.renter, idempotencyKey: 'cancel-1' });
    const first = await ask();
    expect(first.status).toBe(200);
    expect((await ask()).text).toBe(first.text);
    expect(await refundsOf(id)).toHaveLength(1);
  });

  it('says why in the timeline', async () => {
    const { client } = market.coordinator;
    const { id } = await rent(market);
    await client.post(`/contracts/${id}/cancel`, { reason: 'Wrong size.' }, { key: market.renter });
    expect((await look(market, id)).timeline.at(-1)).toMatchObject({
      from: 'accepted',
      to: 'cancelled',
      actor: 'renter',
      reason: 'Wrong size.',
    });
  });

  it('sends a tombstone that the agent can check against its pinned key', async () => {
    const { context, clock } = market.coordinator;
    const { id } = await rentUntilActive(market);
    const { ended_at } = await cancelled(id);
    const lease = await market.agent.leaseOne();
    const order = verifyOrder(lease.order, {
      coordinatorKeys: [context.key.publicKey],
      agentKey: market.agent.key.publicKey,
      environment: 'test',
      nowMs: clock.now(),
    });
    expect(order).toMatchObject({
      kind: 'destroy',
      sub: id,
      epoch: 2,
      tombstone: { contract_id: id, reason: 'cancelled', at: ended_at },
    });
    expect(order).not.toHaveProperty('spec');
  });
});

describe('cancelling while the agent reports the instance', () => {
  it.each(['the renter first', 'the agent first'])('ends the same way: %s', async (order) => {
    const { id, lease } = await rentAndLease(market);
    const compact = market.agent.sign('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    const both = [() => cancel(market, id), () => market.agent.send([compact])];
    if (order === 'the agent first') both.reverse();
    const answers = await Promise.all(both.map((act) => act()));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(await reaches(market, id, 'cancelled')).toMatchObject({ release: 'pending', active_at: null });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect(await refundsOf(id)).toHaveLength(1);
    await destroyInstance(market, id);
    expect(await placesTaken(market)).toBe(0);
  });

  it('keeps a report that comes later as evidence without effect, and has the instance destroyed', async () => {
    const { id, lease } = await rentAndLease(market);
    await cancelled(id);
    const words = { epoch: lease.epoch, data: atPrivateAddress };
    expect(await market.agent.report('provisioned', id, words)).toEqual({
      seq: 1,
      outcome: 'not_applied',
      code: 'RECORD_CONTRADICTS',
    });
    const destroy = await market.agent.leaseOne();
    expect(destroy).toMatchObject({ kind: 'destroy', contract_id: id, epoch: 2 });
    // The order has raised the epoch: a report under the old one is stale by now.
    expect(await market.agent.report('provisioned', id, words)).toMatchObject({ code: 'LEASE_STALE' });
    expect(await look(market, id)).toMatchObject({ state: 'cancelled', release: 'pending', access: null });
    const kept = await market.coordinator.context.db.read
      .selectFrom('records')
      .select(['seq', 'outcome', 'code'])
      .orderBy('seq')
      .execute();
    expect(kept).toEqual([
      { seq: 1, outcome: 'not_applied', code: 'RECORD_CONTRADICTS' },
      { seq: 2, outcome: 'not_applied', code: 'LEASE_STALE' },
    ]);
    expect(await market.agent.report('destroyed', id, { epoch: 2 })).toMatchObject({ outcome: 'applied' });
    expect(await placesTaken(market)).toBe(0);
  });

  it('has the destroy order wait for the very agent that had the lease', async () => {
    const { id } = await rentAndLease(market);
    await cancelled(id);
    const work = await market.coordinator.context.db.read
      .selectFrom('work')
      .select(['kind', 'state', 'agent_key'])
      .where('contract_id', '=', id)
      .orderBy('created_at')
      .orderBy('state', 'desc')
      .execute();
    expect(work).toEqual([
      { kind: 'provision', state: 'withdrawn', agent_key: market.agent.key.publicKey },
      { kind: 'destroy', state: 'open', agent_key: market.agent.key.publicKey },
    ]);
  });
});

describe('a slow payment', () => {
  it('that comes after the cancellation goes straight back', async () => {
    const { id } = await rent(market, { payment_method: 'slow' });
    await cancelled(id);
    await market.coordinator.clock.advance(60_000);
    const amount = { amountE9s: PRICE, currency: 'USD' };
    expect(await notify(market.coordinator, { eventId: 'evt_1', contractId: id, kind: 'paid', amount })).toBe(
      true,
    );
    const after = await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(after).toMatchObject({ state: 'cancelled', refunded: { amount_e9s: PRICE.toString() } });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect([...slow.paidBack.values()]).toEqual([{ key: `refund:${id}:end`, contractId: id, amount }]);
    expect(await market.agent.lease()).toEqual([]);
    expect(after.stages).toMatchObject([{ name: 'payment' }]);
  });
});
