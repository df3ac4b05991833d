/** Payouts as admins make them: list, pay elsewhere, say so. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireMoney } from '@dc/shared/money/money';
import type { WireCreatePayout, WirePayout } from '@dc/shared/wire/money';
import { expectStatus, makeAccount } from '../testing/people.ts';
import {
  destroyInstance,
  HOUR_MS,
  openMarket,
  pass,
  reaches,
  rentUntilActive,
  type Market,
} from '../testing/rental.ts';
import { accounts } from './ledger.ts';
import { balanceOf } from './ledger-store.ts';
import { verifyLedger } from './ledger-verify.ts';
import { releaseEarnings } from './release-job.ts';

const PRICE = 100_000_000n;

interface Owed {
  provider_pubkey: string;
  total: WireMoney;
  release_count: number;
  through: number;
}

let market: Market;
let admin: SigningKey;
beforeEach(async () => {
  market = await openMarket();
  admin = await anAdmin('watcher');
});

async function anAdmin(name: string): Promise<SigningKey> {
  const key = await makeAccount(market.coordinator, name);
  await market.coordinator.context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', key.publicKey).execute(),
  );
  return key;
}

/** A rental that ran its term: all of it is earned. */
async function earn(): Promise<string> {
  await market.agent.beat();
  const { id } = await rentUntilActive(market);
  await pass(market.coordinator, 10 * HOUR_MS);
  await reaches(market, id, 'expired');
  await destroyInstance(market, id);
  return id;
}

const owed = async (): Promise<Owed[]> =>
  expectStatus(
    await market.coordinator.client.get<{ items: Owed[] }>('/admin/payment-releases', { key: admin }),
    200,
  ).items;
const listed = async (): Promise<Owed> => {
  const [first] = await owed();
  if (first === undefined) throw new Error('nothing is owed');
  return first;
};
const payOut = (entry: Owed, change: Partial<WireCreatePayout> = {}, key = admin) => {
  const { provider_pubkey, total, through } = entry;
  return market.coordinator.client.post<WirePayout>(
    '/admin/payouts',
    { provider_pubkey, total, through, ...change },
    { key },
  );
};
const step = (id: string, word: string, body = {}) =>
  market.coordinator.client.post<WirePayout>(`/admin/payouts/${id}/${word}`, body, { key: admin });
const payable = async () =>
  (
    await balanceOf(
      market.coordinator.context.db.read,
      accounts.providerPayable(market.provider.key.publicKey),
      'USD',
    )
  ).amountE9s;
const isSound = async () =>
  expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();

describe('a payout', () => {
  it('pays what was listed, in the steps requested, sent and confirmed', async () => {
    await earn();
    const entry = await listed();
    expect(entry).toMatchObject({
      provider_pubkey: market.provider.key.publicKey,
      total: { amount_e9s: String(PRICE), currency: 'USD' },
    });
    const payout = expectStatus(await payOut(entry, { route: 'icpay', destination: 'a wallet' }), 201);
    expect(payout).toMatchObject({ state: 'requested', amount: entry.total, destination: 'a wallet' });
    expect(await owed()).toEqual([]);
    expect(await payable()).toBe(0n);
    const sent = expectStatus(await step(payout.id, 'sent', { reference: 'block 7' }), 200);
    expect(sent).toMatchObject({ state: 'sent', reference: 'block 7', settled_at: null });
    expect(expectStatus(await step(payout.id, 'confirm'), 200)).toMatchObject({ state: 'confirmed' });
    const left = await balanceOf(market.coordinator.context.db.read, accounts.processor('icpay'), 'USD');
    expect(left.amountE9s).toBe(PRICE);
    await isSound();
  });

  it('that was paid in a dashboard before is sent at once', async () => {
    await earn();
    const payout = expectStatus(await payOut(await listed(), { reference: 'dashboard 12' }), 201);
    expect(payout).toMatchObject({ state: 'sent', reference: 'dashboard 12', route: 'manual' });
  });

  it('has the releases that were listed, and none that came later', async () => {
    await earn();
    const entry = await listed();
    await earn();
    const payout = expectStatus(await payOut(entry), 201);
    expect(payout.amount).toEqual(entry.total);
    expect(await listed()).toMatchObject({ total: { amount_e9s: String(PRICE) } });
  });

  it('marked as failed makes all of it owed again, and the next one has another key', async () => {
    await earn();
    const entry = await listed();
    const first = expectStatus(await payOut(entry), 201);
    const failed = expectStatus(await step(first.id, 'fail', { reason: 'The address is wrong.' }), 200);
    expect(failed).toMatchObject({ state: 'failed', failure: 'The address is wrong.' });
    expect(await listed()).toEqual(entry);
    expect(await payable()).toBe(PRICE);
    const second = expectStatus(await payOut(entry), 201);
    expect(second.key).not.toBe(first.key);
    await isSound();
  });

  it('of releases that another admin pays is refused, and says who does', async () => {
    await earn();
    const entry = await listed();
    const other = await anAdmin('other');
    const answers = await Promise.all([payOut(entry), payOut(entry, {}, other)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409]);
    const winner = answers.find(({ status }) => status === 201);
    const loser = answers.find(({ status }) => status === 409);
    expect(loser?.body).toMatchObject({ code: 'PAYOUT_CONFLICT', payout_id: winner?.body.id });
    expect((loser?.body as unknown as { detail: string }).detail).toContain(winner?.body.requested_by);
    await isSound();
  });

  it('whose answer is lost is not made twice: the same request gets the same payout', async () => {
    await earn();
    const { provider_pubkey, total, through } = await listed();
    const body = { provider_pubkey, total, through };
    const send = () =>
      market.coordinator.client.post<WirePayout>('/admin/payouts', body, {
        key: admin,
        idempotencyKey: 'once',
      });
    const first = expectStatus(await send(), 201);
    expect(expectStatus(await send(), 201).id).toBe(first.id);
    expect(await payable()).toBe(0n);
  });

  it.each<[string, (entry: Owed) => Partial<WireCreatePayout>]>([
    ['another amount', ({ total }) => ({ total: { ...total, amount_e9s: '1' } })],
    ['nothing', ({ total }) => ({ total: { ...total, amount_e9s: '0' } })],
    ['less than nothing', ({ total }) => ({ total: { ...total, amount_e9s: '-5' } })],
    ['another currency', ({ total }) => ({ total: { ...total, currency: 'EUR' } })],
    ['a provider that is owed nothing', () => ({ provider_pubkey: 'ab'.repeat(32) })],
  ])('of %s is refused, and marks nothing', async (_case, change) => {
    await earn();
    const entry = await listed();
    expect(await payOut(entry, change(entry))).toMatchObject({
      status: 409,
      body: { code: 'PAYOUT_CONFLICT' },
    });
    expect(await listed()).toEqual(entry);
    expect(await payable()).toBe(PRICE);
  });

  it('cannot be confirmed before it was sent, nor fail after it was confirmed; saying it again is nothing', async () => {
    await earn();
    const { id } = expectStatus(await payOut(await listed()), 201);
    const refused = { status: 409, body: { code: 'PAYOUT_STATE' } };
    expect(await step(id, 'confirm')).toMatchObject(refused);
    await step(id, 'sent', { reference: 'a' });
    expect(await step(id, 'sent', { reference: 'b' })).toMatchObject(refused);
    expect((await step(id, 'sent', { reference: 'a' })).status).toBe(200);
    await step(id, 'confirm');
    expect((await step(id, 'confirm')).status).toBe(200);
    expect(await step(id, 'fail', { reason: 'late' })).toMatchObject(refused);
    expect(await step('01890000-0000-7000-8000-000000000001', 'confirm')).toMatchObject({ status: 404 });
    expect(await payable()).toBe(0n);
    await isSound();
  });

  it('is an admin’s business only', async () => {
    await earn();
    const entry = await listed();
    expect((await payOut(entry, {}, market.provider.key)).status).toBe(403);
    const answer = await market.coordinator.client.get('/admin/payment-releases', { key: market.renter });
    expect(answer.status).toBe(403);
  });
});

describe('statements', () => {
  it('tell the provider what was earned and paid, release by release, a page at a time', async () => {
    const { client } = market.coordinator;
    const key = market.provider.key;
    await earn();
    const { id: payoutId } = expectStatus(await payOut(await listed()), 201);
    await earn();
    const url = `/providers/${key.publicKey}/statement`;
    const money = (amountE9s: bigint) => ({ amount_e9s: String(amountE9s), currency: 'USD' });
    const first = expectStatus(
      await client.get<{ items: object[]; next_cursor: string; totals: object[] }>(`${url}?limit=1`, { key }),
      200,
    );
    expect(first.totals).toEqual([
      {
        earned: money(2n * PRICE),
        release_count: 2,
        paid_out: money(0n),
        in_flight: money(PRICE),
        payable: money(PRICE),
      },
    ]);
    expect(first.items).toMatchObject([{ amount: money(PRICE), payout_id: null, kind: 'time' }]);
    const second = expectStatus(
      await client.get<{ items: object[] }>(`${url}?limit=1&cursor=${first.next_cursor}`, { key }),
      200,
    );
    expect(second).toMatchObject({ items: [{ payout_id: payoutId }], next_cursor: null });
    expect((await client.get(`${url}?cursor=x`, { key })).status).toBe(400);
    expect((await client.get(url, { key: admin })).status).toBe(200);
    expect((await client.get(url, { key: market.renter })).status).toBe(403);
    const before = expectStatus(
      await client.get<{ items: object[] }>(`${url}?to=2026-01-01T00:00:00.000Z`, { key }),
      200,
    );
    expect(before.items).toEqual([]);
  });

  it('tell both sides of a contract where its money is', async () => {
    const id = await earn();
    await releaseEarnings(market.coordinator.context, new AbortController().signal);
    const { client } = market.coordinator;
    for (const key of [market.renter, market.provider.key]) {
      const statement = expectStatus(await client.get(`/contracts/${id}/statement`, { key }), 200);
      expect(statement).toMatchObject({
        paid: { amount_e9s: String(PRICE) },
        released: { amount_e9s: String(PRICE) },
        escrow: { amount_e9s: '0' },
        releases: [{ contract_id: id, proved_ms: 10 * HOUR_MS }],
      });
    }
    const stranger = await makeAccount(market.coordinator, 'stranger');
    expect((await client.get(`/contracts/${id}/statement`, { key: stranger })).status).toBe(404);
  });

  it('tell admins every posting, of all, of a contract or of an account', async () => {
    const id = await earn();
    const { client } = market.coordinator;
    interface Sets {
      items: { kind: string; postings: { account: string }[] }[];
      next_cursor: string | null;
    }
    const ask = async (query: string): Promise<Sets> =>
      expectStatus(await client.get<Sets>(`/admin/ledger${query}`, { key: admin }), 200);
    const all = await ask('');
    expect(all.items.map(({ kind }) => kind)).toEqual(['released_to_provider', 'payment_received']);
    expect((await ask(`?contract_id=${id}`)).items).toEqual(all.items);
    expect((await ask('?account=processor:test')).items.map(({ kind }) => kind)).toEqual([
      'payment_received',
    ]);
    const page = await ask('?limit=1');
    expect((await ask(`?limit=1&cursor=${page.next_cursor ?? ''}`)).items).toEqual(all.items.slice(1));
  });
});
