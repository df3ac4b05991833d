/** Payouts to providers' Stripe accounts, by the real library, against the stand-in. */
import { beforeEach, describe, expect, it } from 'vitest';
import { loginText } from '@dc/shared/wire/account';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WirePayout } from '@dc/shared/wire/money';
import type { WirePayoutDestination } from '@dc/shared/wire/payout';
import { expectStatus, makeAccount } from '../../testing/people.ts';
import { cancel, destroyInstance, HOUR_MS, pass, reaches } from '../../testing/rental.ts';
import { until } from '../../testing/test-coordinator.ts';
import { balanceOf } from '../ledger-store.ts';
import { verifyLedger } from '../ledger-verify.ts';
import { accounts } from '../ledger.ts';
import { listOwed, listPayouts } from '../payout-store.ts';
import { openStripeMarket, rentCaptured, type StripeMarket } from './testing/stripe-market.ts';

const ACCOUNT = 'acct_1032D82eZvKYlo2C';
const COOLING_MS = HOUR_MS;
const PAYOUTS = { coolingMs: COOLING_MS, automatic: false, minimum: 0, stripeConnect: true };

let market: StripeMarket;
let admin: SigningKey;
const open = async (payouts = PAYOUTS): Promise<void> => {
  market = await openStripeMarket({ payouts, stripe: { capture: 'at_once' } });
  market.standIn.transfers.accounts.set(ACCOUNT, 'active');
  admin = await makeAccount(market.coordinator, 'watcher');
  await market.coordinator.context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', admin.publicKey).execute(),
  );
};
beforeEach(() => open());

const provider = (): string => market.provider.key.publicKey;
const destinations = (): string => `/providers/${provider()}/payout-destinations`;
const setTo = async (account: string): Promise<WirePayoutDestination> =>
  expectStatus(
    await market.coordinator.client.post<WirePayoutDestination>(
      destinations(),
      { route: 'stripe_connect', account },
      { key: market.provider.key },
    ),
    201,
  );
const listed = async (): Promise<WirePayoutDestination[]> =>
  expectStatus(
    await market.coordinator.client.get<{ items: WirePayoutDestination[] }>(destinations(), { key: admin }),
    200,
  ).items;

async function setAndCool(): Promise<void> {
  await setTo(ACCOUNT);
  await pass(market.coordinator, COOLING_MS);
}

async function earn(): Promise<void> {
  await market.agent.beat();
  const { id } = await rentCaptured(market);
  await pass(market.coordinator, 10 * HOUR_MS);
  await reaches(market, id, 'expired');
  await destroyInstance(market, id);
}

const owed = async () =>
  listOwed(market.coordinator.context.db.read, { after: { provider: '', currency: '' }, limit: 10 });

const request = async (change: object = {}) => {
  const [first] = await owed();
  if (first === undefined) throw new Error('nothing is owed');
  const total = { amount_e9s: String(first.total_e9s), currency: first.currency };
  const body = {
    provider_pubkey: provider(),
    total,
    through: first.through,
    route: 'stripe_connect',
    ...change,
  };
  return market.coordinator.client.post<WirePayout>('/admin/payouts', body, { key: admin });
};
const newest = async () => (await listPayouts(market.coordinator.context.db.read, { limit: 1 }))[0];
const becomes = (state: string, stepMs = 60_000) =>
  until(async () => {
    await pass(market.coordinator, stepMs);
    return (await newest())?.state === state;
  }, state);
const balance = async (account: string): Promise<bigint> =>
  (await balanceOf(market.coordinator.context.db.read, account, 'USD')).amountE9s;

async function expectBooksAgree(): Promise<void> {
  const { books, transfers, findings } = market.standIn;
  const holds = BigInt(books.holds('usd') - transfers.sent('usd')) * 10_000_000n;
  expect(-(await balance(accounts.processor('stripe')))).toBe(holds);
  expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  expect(findings).toEqual([]);
}
const transfers = () => [...market.standIn.transfers.transfers.values()];

describe('a payout by Stripe Connect', () => {
  beforeEach(async () => {
    await setAndCool();
    await earn();
  });

  it('leaves by itself, to where the provider has said, and is confirmed', async () => {
    const payout = expectStatus(await request(), 201);
    expect(payout).toMatchObject({ state: 'requested', route: 'stripe_connect', destination: ACCOUNT });
    await becomes('confirmed');
    expect(transfers()).toMatchObject([
      { amount: 100, currency: 'usd', destination: ACCOUNT, metadata: { dc_payout: payout.key } },
    ]);
    expect((await newest())?.reference).toBe(transfers()[0]?.id);
    expect(await owed()).toEqual([]);
    await expectBooksAgree();
  });

  it('whose answers are lost is made once', async () => {
    const before = market.standIn.requests.length;
    // The list and the account are asked for first.
    market.standIn.failFrom(3, [
      'answer_lost',
      'unavailable',
      'answer_lost',
      'rate_limited',
      'connection_lost',
    ]);
    await request();
    await becomes('confirmed');
    expect(transfers()).toHaveLength(1);
    expect(market.standIn.requests.length - before).toBeGreaterThan(5);
    await expectBooksAgree();
  });

  it('whose answer is lost for longer than Stripe remembers is found, and not made again', async () => {
    market.standIn.failFrom(3, ['answer_lost', ...Array<'unavailable'>(3).fill('unavailable')]);
    await request();
    await until(() => transfers().length === 1);
    market.standIn.forgetIdempotencyKeys();
    await becomes('confirmed', 26 * HOUR_MS);
    expect(transfers()).toHaveLength(1);
    await expectBooksAgree();
  });

  it('waits while Stripe’s balance does not hold enough, and says so', async () => {
    market.standIn.transfers.available = 10;
    await request();
    await until(async () => {
      await pass(market.coordinator, 60_000);
      return (await newest())?.failure?.includes('balance_insufficient') === true;
    });
    expect((await newest())?.state).toBe('requested');
    market.standIn.transfers.available = 1000;
    await becomes('confirmed', HOUR_MS);
    expect(transfers()).toHaveLength(1);
    expect((await newest())?.failure).toBeNull();
    await expectBooksAgree();
  });

  it.each(['inactive', 'pending'] as const)(
    'to an account whose transfers are %s fails, and is owed again',
    async (state) => {
      market.standIn.transfers.accounts.set(ACCOUNT, state);
      const before = await owed();
      await request();
      await becomes('failed');
      expect(await owed()).toEqual(before);
      expect(transfers()).toEqual([]);
      await expectBooksAgree();
    },
  );

  it('that comes back whole is owed again; the event said twice books it once', async () => {
    await request();
    await becomes('confirmed');
    const [transfer] = transfers();
    market.standIn.transfers.reverse(transfer?.id ?? '', 100);
    await becomes('failed');
    const event = market.standIn.events.findLast(({ type }) => type === 'transfer.reversed');
    expect(await market.standIn.send(event ?? ({} as never), market.deliver)).toBe(200);
    expect((await owed()).map(({ total_e9s }) => total_e9s)).toEqual([1_000_000_000n]);
    await expectBooksAgree();
    expectStatus(await request(), 201);
    await becomes('confirmed');
    await expectBooksAgree();
  });

  it('of which a part comes back pays that part with the next one', async () => {
    await request();
    await becomes('confirmed');
    market.standIn.transfers.reverse(transfers()[0]?.id ?? '', 30);
    await until(async () => (await newest())?.reversed_e9s === 300_000_000n);
    await expectBooksAgree();
    await earn();
    expect((await owed()).map(({ total_e9s }) => total_e9s)).toEqual([1_300_000_000n]);
    await request();
    await becomes('confirmed');
    expect(transfers().map(({ amount }) => amount)).toEqual([100, 130]);
    await expectBooksAgree();
  });

  it('leaves what is less than a cent owed, and pays it when it is more', async () => {
    await market.agent.beat();
    const { id } = await rentCaptured(market);
    await pass(market.coordinator, HOUR_MS + 1_234_567);
    expect((await cancel(market, id)).status).toBe(200);
    await destroyInstance(market, id);
    const [before] = await owed();
    const restE9s = (before?.total_e9s ?? 0n) % 10_000_000n;
    expect(restE9s).toBeGreaterThan(0n);
    await request();
    await becomes('confirmed');
    await expectBooksAgree();
    expect(await balance(accounts.providerPayable(provider()))).toBe(restE9s);
    await earn();
    expect((await owed())[0]?.total_e9s).toBe(1_000_000_000n + restE9s);
    // By hand all of it can be paid.
    expectStatus(await request({ route: 'manual', reference: 'a transfer' }), 201);
    expect(await balance(accounts.providerPayable(provider()))).toBe(0n);
    expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
  });

  it('is not made where a transfer is there that the books do not know, as after a restored backup', async () => {
    market.standIn.transfers.create({
      ...{ amount: '100', currency: 'usd', destination: ACCOUNT, transfer_group: `dc:${provider()}` },
      metadata: { dc_payout: `payout:${provider()}:USD:99:1` },
    });
    await request();
    await becomes('failed');
    expect((await newest())?.failure).toContain('tr_');
    expect(transfers()).toHaveLength(1);
    const recorded = await request({ route: 'stripe', reference: transfers()[0]?.id });
    const { id } = expectStatus(recorded, 201);
    expectStatus(
      await market.coordinator.client.post(`/admin/payouts/${id}/confirm`, {}, { key: admin }),
      200,
    );
    await earn();
    await request();
    await becomes('confirmed');
    await expectBooksAgree();
  });

  it.each(['sent', 'confirm', 'fail'])('cannot be moved by hand: %s', async (step) => {
    const { id } = expectStatus(await request(), 201);
    const body = { sent: { reference: 'x' }, confirm: {}, fail: { reason: 'x' } }[step] ?? {};
    const answer = await market.coordinator.client.post(`/admin/payouts/${id}/${step}`, body, { key: admin });
    expect(answer).toMatchObject({ status: 409, body: { code: 'PAYOUT_STATE' } });
  });

  it.each([{ destination: 'acct_1999999999' }, { reference: 'tr_1' }])(
    'goes nowhere else than the provider has said: %j',
    async (change) => {
      expect(await request(change)).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    },
  );
});

describe('a destination', () => {
  it('counts after the cooling time, and is seen at once', async () => {
    await earn();
    const missing = { status: 409, body: { code: 'PAYOUT_DESTINATION_MISSING' } };
    expect(await request()).toMatchObject(missing);
    expect(await setTo(ACCOUNT)).toMatchObject({ account: ACCOUNT, state: 'cooling' });
    expect(await request()).toMatchObject(missing);
    await pass(market.coordinator, COOLING_MS);
    expect(await listed()).toMatchObject([{ account: ACCOUNT, state: 'in_force' }]);
    expectStatus(await request(), 201);
  });

  it('that was changed by a thief is taken back by naming the old one, at once', async () => {
    await setAndCool();
    await setTo('acct_thief00000000');
    expect((await listed()).map(({ state }) => state)).toEqual(['cooling', 'in_force']);
    expect(await setTo(ACCOUNT)).toMatchObject({ account: ACCOUNT, state: 'in_force' });
    await pass(market.coordinator, 2 * COOLING_MS);
    expect((await listed()).map(({ state }) => state)).toEqual(['withdrawn', 'in_force']);
  });

  it('replaces the one before when it counts; a newer change withdraws one that waits', async () => {
    await setAndCool();
    await setTo('acct_second0000000');
    await pass(market.coordinator, COOLING_MS / 2);
    await setTo('acct_third00000000');
    await pass(market.coordinator, COOLING_MS / 2);
    expect((await listed()).map(({ state }) => state)).toEqual(['cooling', 'withdrawn', 'in_force']);
    await pass(market.coordinator, COOLING_MS / 2);
    expect((await listed()).map(({ state }) => state)).toEqual(['in_force', 'withdrawn', 'replaced']);
  });

  it.each(['acct_', 'x', 'acct_1032D82eZvKYlo2C/../x'])(
    'that is no account is refused: %s',
    async (account) => {
      const body = { route: 'stripe_connect', account };
      const answer = await market.coordinator.client.post(destinations(), body, { key: market.provider.key });
      expect(answer).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    },
  );

  it('is not set by who only has a session of its provider', async () => {
    const { client } = market.coordinator;
    const { key } = market.provider;
    const asked = await client.post<{ challenge: string }>('/sessions/challenge', {
      public_key: key.publicKey,
    });
    const { challenge } = asked.body;
    const signature = key.sign(Buffer.from(loginText('127.0.0.1:8787', challenge))).toString('hex');
    const opened = await client.post('/sessions', { public_key: key.publicKey, challenge, signature });
    const cookie = String(opened.headers['set-cookie']).split(';')[0] ?? '';
    expectStatus(await client.get(destinations(), { cookie }), 200);
    const body = { route: 'stripe_connect', account: ACCOUNT };
    const answer = await client.post(destinations(), body, { cookie });
    expect(answer).toMatchObject({ status: 403, body: { code: 'PERMISSION_DENIED' } });
    expect(await listed()).toEqual([]);
  });

  it('is its provider’s alone to set, by a route that is there', async () => {
    const { client } = market.coordinator;
    const body = { route: 'stripe_connect', account: ACCOUNT };
    expect((await client.post(destinations(), body, { key: market.renter })).status).toBe(403);
    expect((await client.post(destinations(), body, { key: admin })).status).toBe(403);
    expect((await client.get(destinations(), { key: market.renter })).status).toBe(403);
    const other = await client.post(
      destinations(),
      { ...body, route: 'icrc1' },
      { key: market.provider.key },
    );
    expect(other).toMatchObject({ status: 409, body: { code: 'PAYOUT_ROUTE_UNAVAILABLE' } });
  });
});

describe('payouts without an admin', () => {
  it('are requested once a day, to those who have said where to', async () => {
    await open({ ...PAYOUTS, automatic: true });
    await earn();
    await pass(market.coordinator, 30 * HOUR_MS);
    expect(await newest()).toBeUndefined();
    await setAndCool();
    await becomes('confirmed', HOUR_MS);
    await pass(market.coordinator, 50 * HOUR_MS);
    expect(transfers()).toHaveLength(1);
    await expectBooksAgree();
  });
});
