/** Payouts as ICRC-1 transfers: the official agent, a stand-in that signs its answers as a subnet does. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import { Principal } from '@icp-sdk/core/principal';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { WirePayout } from '@dc/shared/wire/money';
import { saveQuote } from '../../prices/rate-store.ts';
import { expectStatus, makeAccount } from '../../testing/people.ts';
import {
  destroyInstance,
  HOUR_MS,
  openMarket,
  pass,
  reaches,
  rentUntilActive,
  type Market,
} from '../../testing/rental.ts';
import { dumpDatabase } from '../../testing/dump-database.ts';
import { startTestCoordinator, until } from '../../testing/test-coordinator.ts';
import { verifyLedger } from '../ledger-verify.ts';
import { listOwed, listPayouts } from '../payout-store.ts';
import { parseAccount } from './icrc1-account.ts';
import { INDEX_ID, LEDGER_ID, LedgerStandIn, nameOf } from './testing/ledger-stand-in.ts';

const SEED = 'ab'.repeat(32);
const WALLET = {
  owner: Ed25519KeyIdentity.generate(Buffer.from(SEED, 'hex')).getPrincipal(),
  subaccount: [] as [],
};
const PROVIDER = Principal.selfAuthenticating(new Uint8Array(44).fill(3)).toText();
/** 0.1 USD of rent at 0.5 USD a token of six decimals, less the ledger's fee. */
const UNITS = 200_000n - 10_000n;

let market: Market;
let admin: SigningKey;
let ledger: LedgerStandIn;

beforeEach(async () => {
  const clock = new ManualClock();
  ledger = new LedgerStandIn(clock);
  await ledger.listen();
  onTestFinished(() => ledger.close());
  ledger.balances.set(nameOf(WALLET), 1_000_000_000n);
  const folder = (await startTestCoordinator({ startsWork: false })).folder;
  const keyFile = join(folder, 'wallet.key');
  writeFileSync(keyFile, `${SEED}\n`, { mode: 0o600 });
  const icrc1 = {
    ...{ keyFile, apiBase: ledger.url, ledgerCanisterId: LEDGER_ID, indexCanisterId: INDEX_ID },
    ...{ tokenSymbol: 'TOK', tokenDecimals: 6, transferFee: 10_000 },
  };
  const payouts = { coolingMs: 60_000, automatic: false, minimum: 0, stripeConnect: false, icrc1 };
  const nowhere = 'http://127.0.0.1:1';
  const sources = [
    { name: 'kraken' as const, apiBase: nowhere },
    { name: 'binance' as const, apiBase: nowhere },
  ];
  const prices = { sources, maxAgeMs: 600_000, maxDeviationPermille: 30, minSources: 2 };
  const coordinator = await startTestCoordinator({ clock, config: { payouts, prices } });
  market = await openMarket({ coordinator });
  admin = await makeAccount(coordinator, 'watcher');
  await coordinator.context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', admin.publicKey).execute(),
  );
  expectStatus(await setTo(PROVIDER), 201);
  await pass(coordinator, 60_000);
  await market.agent.beat();
  const { id } = await rentUntilActive(market);
  await pass(coordinator, 10 * HOUR_MS);
  await reaches(market, id, 'expired');
  await destroyInstance(market, id);
});

const setTo = (account: string) =>
  market.coordinator.client.post(
    `/providers/${market.provider.key.publicKey}/payout-destinations`,
    { route: 'icrc1', account },
    { key: market.provider.key },
  );

/** Two exchanges have just said what a token costs. */
async function quote(): Promise<void> {
  const at = market.coordinator.clock.now();
  const said = {
    token: 'TOK',
    currency: 'USD',
    rate_e9s: 500_000_000n,
    at,
    asked_at: at,
    problem: null,
    retry_at: at,
  };
  await market.coordinator.context.db.write(async (trx) => {
    for (const source of ['kraken', 'binance']) await saveQuote(trx, { ...said, source });
  });
}

const owed = () =>
  listOwed(market.coordinator.context.db.read, { after: { provider: '', currency: '' }, limit: 10 });
async function request() {
  const [first] = await owed();
  if (first === undefined) throw new Error('nothing is owed');
  const { provider_pubkey, through, total_e9s, currency } = first;
  const total = { amount_e9s: String(total_e9s), currency };
  const body = { provider_pubkey, through, total, route: 'icrc1' };
  return market.coordinator.client.post<WirePayout>('/admin/payouts', body, { key: admin });
}
async function requestAtRate(): Promise<WirePayout> {
  await quote();
  return expectStatus(await request(), 201);
}
const newest = async () => (await listPayouts(market.coordinator.context.db.read, { limit: 1 }))[0];
const becomes = (state: string, stepMs = 60_000) =>
  until(async () => {
    await pass(market.coordinator, stepMs);
    return (await newest())?.state === state;
  }, state);
const waitsFor = (words: string) =>
  until(async () => {
    await pass(market.coordinator, 60_000);
    return (await newest())?.failure?.includes(words) === true;
  }, words);
const received = (): bigint => ledger.balances.get(nameOf(parseAccount(PROVIDER))) ?? 0n;
async function expectPaidOnce(): Promise<void> {
  expect(ledger.blocks).toHaveLength(1);
  expect(received()).toBe(UNITS);
  expect((await verifyLedger(market.coordinator.context.db)).firstProblem).toBeNull();
}

describe('a payout by ICRC-1', () => {
  it('is sent under its block index, and confirmed when the index has the block', async () => {
    ledger.lag = 0;
    await requestAtRate();
    await until(async () => {
      await pass(market.coordinator, 1000);
      if (ledger.blocks.length === 1) ledger.lag = 1;
      return (await newest())?.state === 'sent' || (await newest())?.state === 'confirmed';
    }, 'sent');
    ledger.lag = 0;
    await becomes('confirmed');
    expect(await newest()).toMatchObject({ reference: '0', destination: PROVIDER });
    expect(received() + 10_000n).toBe(200_000n);
    await expectPaidOnce();
  });

  it.each(['answer_lost', 'forged'] as const)(
    'whose answer is %s is a duplicate the second time',
    async (fault) => {
      ledger.faults.push(fault);
      await requestAtRate();
      await becomes('confirmed');
      await expectPaidOnce();
    },
  );

  it('whose answer was lost for longer than the ledger remembers is found in the index', async () => {
    ledger.faults.push('answer_lost');
    await requestAtRate();
    await until(async () => {
      await pass(market.coordinator, 1000);
      return ledger.blocks.length === 1;
    });
    await becomes('confirmed', 26 * HOUR_MS);
    await expectPaidOnce();
  });

  it('that was not taken for days is asked for anew, and made once', async () => {
    ledger.faults.push('unavailable', 'unavailable', 'TemporarilyUnavailable');
    await requestAtRate();
    await becomes('confirmed', 26 * HOUR_MS);
    await expectPaidOnce();
  });

  it('waits while the wallet does not hold enough', async () => {
    ledger.balances.set(nameOf(WALLET), 5n);
    await requestAtRate();
    await waitsFor('5 base units');
    ledger.balances.set(nameOf(WALLET), 1_000_000n);
    await becomes('confirmed');
    await expectPaidOnce();
  });

  it('waits where the index is behind: it could not say what was made', async () => {
    ledger.blocks.push({
      from: WALLET,
      to: WALLET,
      amount: 1n,
      memo: [],
      timestamp: 0n,
      same: '',
      created: 0n,
    });
    ledger.lag = 1;
    await requestAtRate();
    await pass(market.coordinator, 60_000);
    await pass(market.coordinator, 60_000);
    expect((await newest())?.state).toBe('requested');
    expect(received()).toBe(0n);
    ledger.lag = 0;
    await becomes('confirmed');
    expect(received()).toBe(UNITS);
  });

  it('fails where the fee of the ledger has changed, and is owed again', async () => {
    const before = await owed();
    ledger.fee = 20_000n;
    await requestAtRate();
    await becomes('failed');
    expect((await newest())?.failure).toContain('20000');
    expect(await owed()).toEqual(before);
  });

  it('is not requested where nobody knows what the token costs', async () => {
    expect(await request()).toMatchObject({ status: 503, body: { code: 'TOKEN_RATE_STALE' } });
  });

  it('leaves nothing of the wallet’s key in the database or the log', async () => {
    await requestAtRate();
    await becomes('confirmed');
    const { context, logged } = market.coordinator;
    const everything = JSON.stringify(
      [await dumpDatabase(context.db.read), logged],
      (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
    );
    expect(everything).not.toContain(SEED);
  });

  it.each(['x', 'acct_12345678', '2vxsx-fae', `${PROVIDER}-aaaaaaa.1`, `${PROVIDER}.1`])(
    'goes to no account that is none: %s',
    async (account) => {
      expect(await setTo(account)).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    },
  );
});

describe('an ICRC-1 account', () => {
  // The examples of the standard.
  const OWNER = 'k2t6j-2nvnp-4zjm3-25dtz-6xhaa-c7boj-5gayf-oj3xs-i43lp-teztq-6ae';
  it('is a principal, or one with a checksum and a subaccount', () => {
    expect(parseAccount(OWNER)).toMatchObject({ subaccount: [] });
    const [bytes] = parseAccount(`${OWNER}-6cc627i.1`).subaccount;
    expect(Buffer.from(bytes ?? []).toString('hex')).toBe('1'.padStart(64, '0'));
    const long = parseAccount(
      `${OWNER}-dfxgiyy.102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20`,
    );
    expect(long.subaccount[0]?.[0]).toBe(1);
  });

  it.each([
    `${OWNER}-q6bn32y.`,
    `${OWNER}.1`,
    `${OWNER}-6cc627i.01`,
    `${OWNER}-6cc627j.1`,
    OWNER.toUpperCase(),
  ])('is not %s', (text) => {
    expect(() => parseAccount(text)).toThrow('no ICRC-1 account');
  });
});

it('the wallet’s key is refused in a file that others can read', async () => {
  const { keyFile } = market.coordinator.context.config.payouts.icrc1 ?? { keyFile: '' };
  chmodSync(keyFile, 0o644);
  const { config } = market.coordinator.context;
  const start = startTestCoordinator({ config: { payouts: config.payouts, prices: config.prices } });
  await expect(start).rejects.toMatchObject({ code: 'KEY_FILE_UNSAFE' });
});
