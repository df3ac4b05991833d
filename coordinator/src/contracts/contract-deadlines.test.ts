import { describe, expect, it } from 'vitest';
import { CONTRACT_STATES, isTerminal } from '@dc/shared/state/contract';
import { notify, SlowPayment } from '../payments/testing/slow-payment.ts';
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
} from '../testing/rental.ts';
import { testConfig } from '../testing/test-config.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { deadlineOf } from './contract-deadlines.ts';
import { enforceDeadline } from './enforce-deadline.ts';
import type { ContractRow } from './contract-store.ts';

const PRICE = 100_000_000n;
const ALL_BACK = { paid: PRICE, released: 0n, refunded: PRICE };
const MINUTE_MS = 60_000;
const limits = testConfig('/nowhere').contracts;

describe('how long a state may last', () => {
  const contract = { state_since_at: 1_000_000, ends_at: 9_000_000 } as ContractRow;

  it.each([
    ['requested', 1_000_000 + limits.requestTimeoutMs, 'cancel'],
    ['accepted', 1_000_000 + limits.acceptTimeoutMs, 'reject'],
    ['provisioning', 1_000_000 + limits.provisionTimeoutMs, 'fail'],
    ['active', 9_000_000, 'expire'],
    ['provisioned', 1_000_000 + limits.verifyTimeoutMs + limits.provisionTimeoutMs, 'fail'],
    ['paused', 1_000_000 + 120 * 24 * HOUR_MS, 'expire'],
  ] as const)('%s', (state, at, event) => {
    expect(deadlineOf({ ...contract, state }, limits)).toMatchObject({ at, event });
  });

  it('for ever only where it has ended', () => {
    for (const state of CONTRACT_STATES)
      expect(deadlineOf({ ...contract, state }, limits) === null).toBe(isTerminal(state));
  });
});

describe('a contract', () => {
  it('that is not paid in an hour is cancelled, and its place is free', async () => {
    const slow = new SlowPayment();
    const market = await openMarket({ coordinator: await startTestCoordinator({ payments: [slow] }) });
    const { id } = await rent(market, { payment_method: 'slow' });
    await pass(market.coordinator, HOUR_MS);
    expect(await reaches(market, id, 'cancelled')).toMatchObject({ release: 'none', refunded: null });
    expect(await placesTaken(market)).toBe(0);

    const amount = { amountE9s: PRICE, currency: 'USD' };
    await notify(market.coordinator, { eventId: 'late', contractId: id, kind: 'paid', amount });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
  });

  it('that no agent takes in a quarter of an hour is rejected, and refunded in full', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    await pass(market.coordinator, 15 * MINUTE_MS - 2000);
    expect(await look(market, id)).toMatchObject({ state: 'accepted' });
    await pass(market.coordinator, 1000);
    expect(await reaches(market, id, 'rejected')).toMatchObject({
      release: 'none',
      last_error: { code: 'OFFERING_UNSERVED', remedy: expect.stringContaining('money back') as string },
    });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect(await placesTaken(market)).toBe(0);
    expect(await market.agent.lease()).toEqual([]);
  });

  it('that is not delivered in half an hour fails, is refunded in full, and cleaned up', async () => {
    const market = await openMarket();
    const { id, lease } = await rentAndLease(market);
    // Renewing shows that somebody works; it buys no time from the renter.
    await pass(market.coordinator, 29 * MINUTE_MS);
    expect((await market.agent.renew(lease)).status).toBe(200);
    await pass(market.coordinator, MINUTE_MS);
    const failed = await contractBecomes(market, id, ({ payment }) => payment.status === 'refunded');
    expect(failed).toMatchObject({ state: 'failed', last_error: { code: 'INSTANCE_UNREACHABLE' } });
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);

    const late = await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    expect(late).toEqual({ seq: 1, outcome: 'not_applied', code: 'RECORD_CONTRADICTS' });
    expect(await look(market, id)).toMatchObject({ state: 'failed', access: null });
    await destroyInstance(market, id);
    expect(await placesTaken(market)).toBe(0);
  });

  it('that was reported and that nobody could look at fails, and is refunded in full', async () => {
    const market = await openMarket({ coordinator: await startTestCoordinator({ startsWork: false }) });
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    market.coordinator.clock.jump(31 * MINUTE_MS - 1);
    await enforceDeadline(market.coordinator.context, id);
    expect(await look(market, id)).toMatchObject({ state: 'provisioned' });
    market.coordinator.clock.jump(1);
    await enforceDeadline(market.coordinator.context, id);
    expect(await look(market, id)).toMatchObject({
      state: 'failed',
      refunded: { amount_e9s: String(PRICE) },
      last_error: { code: 'INSTANCE_UNREACHABLE' },
    });
  });

  it('that was paid for by the hour ends after it, whatever became of its agent', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, 10 * HOUR_MS);
    expect(await reaches(market, id, 'expired')).toMatchObject({ release: 'pending' });
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: PRICE, refunded: 0n });
  });

  it('that moved on is left alone by the deadline of the state before', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, 2 * HOUR_MS);
    await market.coordinator.clock.advance(2000);
    expect(await look(market, id)).toMatchObject({ state: 'active' });
    const waiting = await market.coordinator.context.db.read
      .selectFrom('outbox')
      .select('key')
      .where('topic', '=', 'contract.deadline')
      .where('done_at', 'is', null)
      .execute();
    expect(waiting).toHaveLength(1);
  });

  it('is ended once by a deadline that runs again, and not by one that comes early', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    const { context } = market.coordinator;
    await enforceDeadline(context, id);
    expect(await look(market, id)).toMatchObject({ state: 'accepted' });
    await pass(market.coordinator, 15 * MINUTE_MS);
    const rejected = await reaches(market, id, 'rejected');
    await enforceDeadline(context, id);
    await enforceDeadline(context, '01993b5e-0000-7000-8000-000000000000');
    expect((await look(market, id)).timeline).toEqual(rejected.timeline);
  });

  it('whose deadline and cancellation come together ends once, with one refund', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    market.coordinator.clock.jump(15 * MINUTE_MS);
    await Promise.all([cancel(market, id), enforceDeadline(market.coordinator.context, id)]);
    expect(await settledMoney(market, id)).toEqual(ALL_BACK);
    expect((await look(market, id)).timeline).toHaveLength(3);
  });

  it('expires although the coordinator slept through its last minute', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    const { folder, clock } = market.coordinator;
    await market.coordinator.stop(1000);
    clock.jump(11 * HOUR_MS);
    const again = { ...market, coordinator: await startTestCoordinator({ folder, clock }) };
    // First the agent may speak: it would know if this were an older backup. It does not, and is offline then.
    await pass(again.coordinator, again.coordinator.context.config.agents.offlineAfterMs - 2000);
    expect((await look(again, id)).state).toBe('active');
    await pass(again.coordinator, 2000);
    const expired = await reaches(again, id, 'expired');
    expect(Date.parse(expired.ended_at!)).toBeGreaterThan(Date.parse(expired.ends_at!));
    expect(await settledMoney(again, id)).toEqual({ paid: PRICE, released: PRICE, refunded: 0n });
  });

  it('expires after a restart as soon as the agents of its pool have spoken', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    const { folder, clock } = market.coordinator;
    await market.coordinator.stop(1000);
    clock.jump(11 * HOUR_MS);
    const again = { ...market, coordinator: await startTestCoordinator({ folder, clock }) };
    market.agent.coordinator = again.coordinator;
    await market.agent.beat();
    const before = clock.now();
    await until(async () => {
      await pass(again.coordinator, 200);
      return (await look(again, id)).state === 'expired';
    }, 'the expiry');
    expect(clock.now() - before).toBeLessThan(again.coordinator.context.config.agents.offlineAfterMs);
  });
});
