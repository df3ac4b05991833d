import { describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { dumpDatabase } from '../testing/dump-database.ts';
import {
  cancel,
  contractBecomes,
  look,
  moneyOf,
  openMarket,
  reaches,
  rent,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { intentOf, openIcpayMarket } from './icpay/testing/icpay-market.ts';
import { balanceOf } from './ledger-store.ts';
import { walletToppedUp } from './ledger-wallet.ts';
import { accounts } from './ledger.ts';
import { verifyLedger } from './ledger-verify.ts';
import { openStripeMarket, PRICE, PRICE_PER_HOUR } from './stripe/testing/stripe-market.ts';

/** A way of paying, as every one is tried. */
interface Subject {
  market: Market;
  /** The payer pays what the contract's checkout asks for; nothing where it settles at once. */
  pay(contract: WireContract): void;
  /** Delivers everything that was ever told, in this order, again. */
  replay(reversed: boolean): Promise<void>;
  /** From here on no event arrives. */
  silence(): void;
  /** What the outside, or the wallet, has got back in all, in nano-units. */
  sentBack(): Promise<bigint>;
}

const nothing = () => Promise.resolve();
const SUBJECTS: Record<string, { isOnline: boolean; open: () => Promise<Subject> }> = {
  test: {
    isOnline: false,
    async open() {
      const market = await openMarket({ offering: { price_per_hour: PRICE_PER_HOUR } });
      const sentBack = async () => (await processorOf(market, 'test')) + (await paidBy(market));
      return { market, pay: () => undefined, replay: nothing, silence: () => undefined, sentBack };
    },
  },
  wallet: {
    isOnline: false,
    async open() {
      const market = await openStripeMarket();
      const renterPubkey = market.renter.publicKey;
      const amount = { amountE9s: PRICE, currency: 'USD' };
      const { context } = market.coordinator;
      await context.db.write((trx) =>
        context.ledger.append(
          trx,
          walletToppedUp({ cause: 'a test', method: 'stripe', renterPubkey, amount }),
        ),
      );
      const sentBack = async () =>
        (await balanceOf(context.db.read, accounts.renterWallet(renterPubkey), 'USD')).amountE9s;
      return { market, pay: () => undefined, replay: nothing, silence: () => undefined, sentBack };
    },
  },
  stripe: {
    isOnline: true,
    async open() {
      const market = await openStripeMarket({ stripe: { capture: 'at_once' } });
      const { standIn, deliver } = market;
      return {
        market,
        pay: ({ payment }) => void standIn.books.pay(payment.checkout_url?.split('/').at(-1) ?? ''),
        async replay(reversed) {
          for (const event of reversed ? standIn.events.toReversed() : [...standIn.events])
            expect(await standIn.send(event, deliver)).toBe(200);
        },
        silence: () => standIn.deliverTo(null),
        sentBack: () =>
          Promise.resolve(
            [...standIn.books.refunds.values()].reduce(
              (sum, { amount }) => sum + BigInt(amount) * 10_000_000n,
              0n,
            ),
          ),
      };
    },
  },
  icpay: {
    isOnline: true,
    async open() {
      const market = await openIcpayMarket();
      const { standIn, deliver } = market;
      return {
        market,
        pay: ({ payment }) => void standIn.pay(intentOf(payment.checkout_url)),
        async replay(reversed) {
          for (const event of reversed ? standIn.events.toReversed() : [...standIn.events])
            expect(await standIn.send(event, deliver)).toBe(200);
        },
        silence: () => standIn.deliverTo(null),
        sentBack: () =>
          // 200,000 base units for a cent.
          Promise.resolve(standIn.refunds.reduce((sum, { amount }) => sum + BigInt(amount) * 50n, 0n)),
      };
    },
  },
};

const processorOf = async ({ coordinator }: Market, method: string): Promise<bigint> =>
  (await balanceOf(coordinator.context.db.read, accounts.processor(method), 'USD')).amountE9s;

/** What all contracts of the market have been paid. */
async function paidBy({ coordinator }: Market): Promise<bigint> {
  const rows = await coordinator.context.db.read
    .selectFrom('ledger_sets as s')
    .innerJoin('ledger_postings as p', 'p.set_id', 's.id')
    .select('p.amount_e9s')
    .where('s.kind', '=', 'payment_received')
    .where('p.account', 'like', 'escrow:%')
    .execute();
  return rows.reduce((sum, { amount_e9s }) => sum + amount_e9s, 0n);
}

/** Waits until no job runs. */
async function settled({ coordinator }: Market): Promise<void> {
  await until(async () => {
    const running = await coordinator.context.db.read
      .selectFrom('outbox')
      .select('key')
      .where('leased_by', 'is not', null)
      .where('topic', 'not like', 'every:%')
      .execute();
    return running.length === 0;
  }, 'the end of all jobs');
}

const rentBy = (subject: Subject, method: string): Promise<WireContract> =>
  rent(subject.market, { payment_method: method });

describe.each(Object.entries(SUBJECTS))('the payment method %s', (method, { isOnline, open }) => {
  it('is paid exactly what was asked for, once, and only then accepted', async () => {
    const subject = await open();
    const contract = await rentBy(subject, method);
    if (isOnline) {
      expect(contract).toMatchObject({ state: 'requested', paid_at: null, payment: { status: 'pending' } });
      expect(contract.payment.checkout_url).toMatch(/^http/);
    }
    subject.pay(contract);
    await reaches(subject.market, contract.id, 'accepted');
    expect(await moneyOf(subject.market, contract.id)).toMatchObject({ paid: PRICE, escrow: PRICE });
    await settled(subject.market);
    const before = await dumpDatabase(subject.market.coordinator.context.db.read);
    await subject.replay(false);
    await subject.replay(true);
    expect(await dumpDatabase(subject.market.coordinator.context.db.read)).toEqual(before);
  });

  it('gives everything back, once, where the contract is not delivered, also when two cancel at once', async () => {
    const subject = await open();
    const contract = await rentBy(subject, method);
    subject.pay(contract);
    await reaches(subject.market, contract.id, 'accepted');
    const answers = await Promise.all([1, 2, 3].map(() => cancel(subject.market, contract.id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    await contractBecomes(subject.market, contract.id, ({ payment }) => payment.status === 'refunded');
    await subject.replay(true);
    expect(await settledMoney(subject.market, contract.id)).toEqual({
      paid: PRICE,
      released: 0n,
      refunded: PRICE,
    });
    expect(await subject.sentBack()).toBe(PRICE);
  });

  it('keeps its books after a restart in the middle', async () => {
    const subject = await open();
    const contract = await rentBy(subject, method);
    subject.pay(contract);
    await reaches(subject.market, contract.id, 'accepted');
    const { coordinator } = subject.market;
    await cancel(subject.market, contract.id);
    subject.silence();
    await coordinator.stop(1000);
    const { config } = coordinator.context;
    const again = await startTestCoordinator({
      folder: coordinator.folder,
      clock: coordinator.clock,
      config,
    });
    await again.clock.advance(31_000);
    const market = { ...subject.market, coordinator: again };
    await contractBecomes(market, contract.id, ({ payment }) => payment.status === 'refunded');
    expect(await subject.sentBack().catch(() => PRICE)).toBe(PRICE);
    expect((await verifyLedger(again.context.db)).firstProblem).toBeNull();
  });

  // Methods that settle at once have no events and no late money.
  describe.runIf(isOnline)('elsewhere', () => {
    it('is found paid by asking, where every event is lost', async () => {
      const subject = await open();
      const contract = await rentBy(subject, method);
      subject.silence();
      subject.pay(contract);
      await subject.market.coordinator.clock.advance(95_000);
      await contractBecomes(subject.market, contract.id, ({ payment }) => payment.status === 'succeeded');
    });

    it('is found paid by the page that the payer comes back to', async () => {
      const subject = await open();
      const contract = await rentBy(subject, method);
      subject.silence();
      subject.pay(contract);
      const { app } = subject.market.coordinator;
      const url = `/pay/return?payment=${encodeURIComponent(`contract:${contract.id}`)}`;
      const answer = await app.inject({ method: 'GET', url, headers: { host: '127.0.0.1:8787' } });
      expect(answer.headers.location).toBe(`/contracts/${contract.id}`);
      expect((await look(subject.market, contract.id)).payment.status).toBe('succeeded');
    });

    it('that is paid after the contract has ended goes back, all of it, and changes nothing more', async () => {
      const subject = await open();
      subject.silence();
      const contract = await rentBy(subject, method);
      subject.pay(contract);
      expect((await cancel(subject.market, contract.id)).status).toBe(200);
      await subject.replay(true);
      await until(async () => (await subject.sentBack()) === PRICE, 'the refund');
      await subject.replay(false);
      await contractBecomes(subject.market, contract.id, ({ payment }) => payment.status === 'refunded');
      expect(await settledMoney(subject.market, contract.id)).toMatchObject({ refunded: PRICE });
      expect(await subject.sentBack()).toBe(PRICE);
    });

    it('that is not made in time cancels the contract, and costs nothing', async () => {
      const subject = await open();
      const contract = await rentBy(subject, method);
      subject.market.coordinator.clock.jump(3_600_000);
      await subject.market.coordinator.clock.advance(1_000);
      const ended = await reaches(subject.market, contract.id, 'cancelled');
      expect(ended).toMatchObject({ paid_at: null, refunded: null, payment: { checkout_url: null } });
    });

    it('refuses a webhook that is not signed', async () => {
      const subject = await open();
      const { app } = subject.market.coordinator;
      const answer = await app.inject({
        method: 'POST',
        url: `/api/v1/webhooks/${method}`,
        headers: { host: '127.0.0.1:8787', 'content-type': 'application/json' },
        payload: '{"id":"evt_1","type":"payment.completed","data":{"object":{}}}',
      });
      expect(answer.statusCode).toBe(401);
    });
  });
});
