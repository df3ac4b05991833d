import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { notify, SlowPayment } from '../payments/testing/slow-payment.ts';
import type { Answer } from '../testing/test-client.ts';
import { expectStatus, makeAccount } from '../testing/people.ts';
import {
  atPrivateAddress,
  cancel,
  HOUR_MS,
  look,
  moneyOf,
  openMarket,
  pass,
  reaches,
  rent,
  rentUntilActive,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { splitAtEnd } from '../payments/refund-rules.ts';
import { enforceDeadline } from './enforce-deadline.ts';

const HOUR_E9S = 10_000_000n;
let asked = 0;

function extend(
  { coordinator, renter }: Market,
  id: string,
  hours: number,
  idempotencyKey = `extension ${String((asked += 1))}`,
): Promise<Answer<WireContract>> {
  return coordinator.client.post<WireContract>(
    `/contracts/${id}/extend`,
    { hours },
    { key: renter, idempotencyKey },
  );
}

/** An active contract that is paid by notices. */
async function slowlyPaid() {
  const slow = new SlowPayment();
  const market = await openMarket({ coordinator: await startTestCoordinator({ payments: [slow] }) });
  const { id } = await rent(market, { payment_method: 'slow' });
  await notify(market.coordinator, {
    eventId: 'evt_rental',
    contractId: id,
    kind: 'paid',
    amount: { amountE9s: 10n * HOUR_E9S, currency: 'USD' },
  });
  const lease = await market.agent.leaseOne();
  await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
  await reaches(market, id, 'active');
  const ask = async (hours: number) => {
    market.coordinator.clock.jump(1); // What was asked for in one millisecond is in no order.
    return expectStatus(await extend(market, id, hours), 200).extensions!.at(-1)!.id;
  };
  const say = (eventId: string, extensionId: string, hours: number, kind: 'paid' | 'failed' = 'paid') =>
    notify(market.coordinator, {
      eventId,
      contractId: id,
      extensionId,
      kind,
      amount: { amountE9s: BigInt(hours) * HOUR_E9S, currency: 'USD' },
    });
  return { market, slow, id, ask, say };
}

describe('extending a contract', () => {
  it('charges the hours at its rate, moves its end, and lets it run until there', async () => {
    const market = await openMarket({ offering: { setup_fee: { amount_e9s: '7', currency: 'USD' } } });
    const before = await rentUntilActive(market);
    const after = expectStatus(await extend(market, before.id, 5), 200);
    expect(after).toMatchObject({
      state: 'active',
      duration_hours: 15,
      total: { amount_e9s: String(15n * HOUR_E9S + 7n) },
      extensions: [{ hours: 5, price: { amount_e9s: String(5n * HOUR_E9S) }, status: 'paid' }],
    });
    expect(Date.parse(after.ends_at!) - Date.parse(before.ends_at!)).toBe(5 * HOUR_MS);
    expect(await moneyOf(market, before.id)).toMatchObject({ paid: 15n * HOUR_E9S + 7n });

    await pass(market.coordinator, 10 * HOUR_MS);
    expect(await look(market, before.id)).toMatchObject({ state: 'active' });
    await pass(market.coordinator, 5 * HOUR_MS);
    await reaches(market, before.id, 'expired');
    const paid = 15n * HOUR_E9S + 7n;
    expect(await settledMoney(market, before.id)).toEqual({ paid, released: paid, refunded: 0n });
  });

  it('happens once however often the same request comes, and not at all without a key', async () => {
    const market = await openMarket();
    const { id } = await rentUntilActive(market);
    const answers = await Promise.all([1, 2, 3].map(() => extend(market, id, 2, 'the same')));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await look(market, id)).toMatchObject({ duration_hours: 12 });
    const { client } = market.coordinator;
    expect(await client.post(`/contracts/${id}/extend`, { hours: 1 }, { key: market.renter })).toMatchObject({
      status: 400,
      body: { code: 'IDEMPOTENCY_REQUIRED' },
    });
  });

  it('never goes beyond what the offering is rented for, however many ask at once', async () => {
    const market = await openMarket({ offering: { max_hours: 14 } });
    const { id } = await rentUntilActive(market);
    expect(await extend(market, id, 5)).toMatchObject({
      status: 400,
      body: { code: 'DURATION_OUT_OF_RANGE', remedy: 'Extend by 4 hours or less.' },
    });
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => extend(market, id, 2)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(2);
    expect(await look(market, id)).toMatchObject({ duration_hours: 14 });
    expect(await moneyOf(market, id)).toMatchObject({ paid: 14n * HOUR_E9S });
  });

  it('is for an active contract and its renter only', async () => {
    const market = await openMarket();
    const { id } = await rent(market);
    expect(await extend(market, id, 1)).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
    await cancel(market, id);
    expect(await extend(market, id, 1)).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
    const other = { ...market, renter: await makeAccount(market.coordinator, 'other') };
    expect(await extend(other, id, 1)).toMatchObject({ status: 404 });
    expect(await extend({ ...market, renter: market.provider.key }, id, 1)).toMatchObject({ status: 403 });
    expect((await moneyOf(market, id)).paid).toBe(10n * HOUR_E9S);
  });

  it('and its expiry at the same moment: one of them wins, and the money follows it', async () => {
    const market = await openMarket();
    const { id, ends_at } = await rentUntilActive(market);
    const { clock, context } = market.coordinator;
    clock.jump(Date.parse(ends_at!) - clock.now() - 1);
    const [answer] = await Promise.all([extend(market, id, 1), enforceDeadline(context, id)]);
    expect(answer.status).toBe(200);
    await pass(market.coordinator, HOUR_MS);
    await reaches(market, id, 'expired');
    expect(await extend(market, id, 1)).toMatchObject({ status: 409 });
    expect(await settledMoney(market, id)).toMatchObject({ released: 11n * HOUR_E9S });
  });

  it('after the last moment is refused, although nobody has looked at the end yet', async () => {
    const market = await openMarket();
    const { id, ends_at } = await rentUntilActive(market);
    market.coordinator.clock.jump(Date.parse(ends_at!) - market.coordinator.clock.now());
    expect(await extend(market, id, 1)).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
  });
});

describe('an extension whose money comes later', () => {
  it('counts when it is paid, once, and what is paid twice goes back', async () => {
    const { market, slow, id, ask, say } = await slowlyPaid();
    const extension = await ask(3);
    expect(await look(market, id)).toMatchObject({ duration_hours: 10, extensions: [{ status: 'pending' }] });
    expect(await say('evt_1', extension, 3)).toBe(true);
    expect(await say('evt_1', extension, 3)).toBe(false);
    expect(await look(market, id)).toMatchObject({ duration_hours: 13, extensions: [{ status: 'paid' }] });
    expect(await say('evt_2', extension, 3)).toBe(true);
    await until(async () => (await moneyOf(market, id)).refundDue === 0n);
    expect([...slow.paidBack.values()]).toMatchObject([{ amount: { amountE9s: 3n * HOUR_E9S } }]);
    expect(await look(market, id)).toMatchObject({ duration_hours: 13, payment: { status: 'succeeded' } });
    expect(await moneyOf(market, id)).toMatchObject({ escrow: 13n * HOUR_E9S });
  });

  it('goes back in full when the contract has ended, or its time is over', async () => {
    const { market, id, ask, say } = await slowlyPaid();
    const [first, second] = [await ask(3), await ask(4)];
    await pass(market.coordinator, 5 * HOUR_MS);
    await cancel(market, id);
    const { released } = await settledMoney(market, id);
    await say('evt_1', first, 3);
    await say('evt_2', second, 4);
    expect(await settledMoney(market, id)).toEqual({
      paid: 17n * HOUR_E9S,
      released,
      refunded: 17n * HOUR_E9S - released,
    });
    expect(await look(market, id)).toMatchObject({
      duration_hours: 10,
      extensions: [{ status: 'refunded' }, { status: 'refunded' }],
    });
  });

  it('goes back when another one took the hours', async () => {
    const { market, id, ask, say } = await slowlyPaid();
    const [first, second] = [await ask(700), await ask(700)];
    await say('evt_1', first, 700);
    await say('evt_2', second, 700);
    expect(await look(market, id)).toMatchObject({
      duration_hours: 710,
      extensions: [{ status: 'paid' }, { status: 'refunded' }],
    });
    await until(async () => (await moneyOf(market, id)).refundDue === 0n);
    expect(await moneyOf(market, id)).toMatchObject({ escrow: 710n * HOUR_E9S });
  });

  it('that fails leaves the contract as it was, and may still be paid', async () => {
    const { market, id, ask, say } = await slowlyPaid();
    const extension = await ask(3);
    await say('evt_1', extension, 3, 'failed');
    expect(await look(market, id)).toMatchObject({ state: 'active', extensions: [{ status: 'failed' }] });
    await say('evt_2', extension, 3);
    expect(await look(market, id)).toMatchObject({ duration_hours: 13, extensions: [{ status: 'paid' }] });
    await say('evt_3', extension, 3, 'failed');
    expect(await look(market, id)).toMatchObject({ duration_hours: 13, extensions: [{ status: 'paid' }] });
  });

  it('is not paid by another amount, nor by the money of another contract', async () => {
    const { market, id, ask, say } = await slowlyPaid();
    const extension = await ask(3);
    await expect(say('evt_1', extension, 2)).rejects.toMatchObject({ code: 'LEDGER_REFUSED' });
    await expect(say('evt_1', id, 3)).rejects.toMatchObject({ code: 'LEDGER_REFUSED' });
    const other = await rent(market, { payment_method: 'slow' });
    await expect(
      notify(market.coordinator, {
        eventId: 'evt_1',
        contractId: other.id,
        extensionId: extension,
        kind: 'paid',
        amount: { amountE9s: 3n * HOUR_E9S, currency: 'USD' },
      }),
    ).rejects.toMatchObject({ code: 'LEDGER_REFUSED' });
    expect(await moneyOf(market, id)).toMatchObject({ paid: 10n * HOUR_E9S });
  });
});

it('extensions, pauses and cancellations at any time lose not a unit, and refund exactly the unused time', async () => {
  const step = fc.tuple(fc.constantFrom('extend', 'pause', 'resume', 'wait'), fc.nat(3 * HOUR_MS));
  const property = fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (script) => {
    const market = await openMarket({ offering: { price_per_hour: { amount_e9s: '7', currency: 'USD' } } });
    const { coordinator, renter } = market;
    await coordinator.context.db.write((trx) =>
      trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', renter.publicKey).execute(),
    );
    const contract = await rentUntilActive(market);
    const { id } = contract;
    // What should be, reckoned beside the program.
    const expected = { hours: 10, pausedMs: 0, pausedAt: null as number | null };
    for (const [what, ms] of script) {
      coordinator.clock.jump(ms % (HOUR_MS - 1));
      const now = coordinator.clock.now();
      if (what === 'extend') {
        const { status } = await extend(market, id, 2);
        expect(status).toBe(expected.pausedAt === null ? 200 : 409);
        if (status === 200) expected.hours += 2;
      } else if (what !== 'wait') {
        const { status } = await coordinator.client.post(
          `/admin/contracts/${id}/${what}`,
          {},
          { key: renter },
        );
        expect(status).toBe((what === 'pause') === (expected.pausedAt === null) ? 200 : 409);
        if (status === 200 && what === 'pause') expected.pausedAt = now;
        else if (status === 200) {
          expected.pausedMs += now - expected.pausedAt!;
          expected.pausedAt = null;
        }
      }
    }
    coordinator.clock.jump(1);
    const now = coordinator.clock.now();
    const promised = (await look(market, id)).refund_if_cancelled_now!.amount_e9s;
    expectStatus(await cancel(market, id), 200);
    const money = await settledMoney(market, id);
    const { refund } = splitAtEnd(
      {
        paid: { amountE9s: BigInt(expected.hours) * 7n, currency: 'USD' },
        setupFee: { amountE9s: 0n, currency: 'USD' },
        released: { amountE9s: 0n, currency: 'USD' },
        rentedMs: expected.hours * HOUR_MS,
        activeAt: Date.parse(contract.active_at!),
        pausedMs: expected.pausedMs + (expected.pausedAt === null ? 0 : now - expected.pausedAt),
      },
      now,
    );
    expect(money).toEqual({
      paid: BigInt(expected.hours) * 7n,
      refunded: refund.amountE9s,
      released: BigInt(expected.hours) * 7n - refund.amountE9s,
    });
    expect(promised).toBe(String(refund.amountE9s));
    await coordinator.stop(1000);
  });
  await fc.assert(property, { numRuns: 8, seed: 20_261_120 });
}, 60_000);
