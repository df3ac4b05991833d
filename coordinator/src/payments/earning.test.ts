/** Earning by proof, through the whole coordinator: records come in, time passes, money moves. */
import { beforeEach, describe, expect, it } from 'vitest';
import { hashJws } from '@dc/shared/crypto/jws';
import { NO_CONTRACT } from '@dc/shared/evidence/record';
import { testConfig } from '../testing/test-config.ts';
import {
  cancel,
  contractBecomes,
  HOUR_MS,
  look,
  moneyOf,
  openMarket,
  pass,
  reaches,
  rentAndLease,
  rentUntilActive,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator, until } from '../testing/test-coordinator.ts';
import { releaseEarnings } from './release-job.ts';

const HOURLY = 10_000_000n;
const PRICE = 10n * HOURLY;
const SETUP_FEE = 3_000_000n;
const MINUTE_MS = 60_000;
const PROOF_MS = 10 * MINUTE_MS;
const REPORT_MS = 5 * MINUTE_MS;

let market: Market;
beforeEach(async () => {
  const config = {
    ...testConfig('/nowhere'),
    earning: { releaseIntervalMs: HOUR_MS, proofMs: PROOF_MS, evidenceGraceMs: 24 * HOUR_MS },
  };
  const coordinator = await startTestCoordinator({ config: { earning: config.earning } });
  market = await openMarket({ coordinator });
});

const release = () => releaseEarnings(market.coordinator.context, new AbortController().signal);
const wait = (ms: number) => pass(market.coordinator, ms - 1000);

/** The instance is well for a while: its agent says so every five minutes, at once or when it has a line again. */
async function isWell(id: string, forMs: number, { online = true } = {}): Promise<string[]> {
  const records: string[] = [];
  for (let gone = 0; gone < forMs; gone += REPORT_MS) {
    await wait(REPORT_MS);
    const record = market.agent.sign('health', id, { data: { status: 'healthy', latency_ms: 3 } });
    records.push(record);
    if (online) await market.agent.send([record]);
  }
  return records;
}

const creditsOf = (id: string) =>
  market.coordinator.context.db.read
    .selectFrom('credits')
    .select(['from_at', 'to_at', 'amount_e9s', 'proof_before', 'proof_after'])
    .where('contract_id', '=', id)
    .execute();
const releasesOf = (id: string) =>
  market.coordinator.context.db.read
    .selectFrom('releases')
    .select(['kind', 'amount_e9s', 'proved_ms', 'first_proof', 'last_proof'])
    .where('contract_id', '=', id)
    .orderBy('seq')
    .execute();

describe('a rental that is proved', { timeout: 30_000 }, () => {
  it('earns its provider each interval, with the records that prove it', async () => {
    const { id } = await rentUntilActive(market);
    const records = await isWell(id, HOUR_MS);
    await release();
    expect(await moneyOf(market, id)).toMatchObject({ released: HOURLY, escrow: PRICE - HOURLY });
    await isWell(id, HOUR_MS);
    await release();
    expect((await moneyOf(market, id)).released).toBe(2n * HOURLY);
    const [first, second] = await releasesOf(id);
    expect(first).toMatchObject({ kind: 'time', amount_e9s: HOURLY, proved_ms: HOUR_MS });
    expect(first?.last_proof).toBe(hashJws(records.at(-1) ?? ''));
    expect(second).toMatchObject({ amount_e9s: HOURLY, proved_ms: HOUR_MS });
    expect(await creditsOf(id)).toEqual([]);
  });

  it('is not released again by a run that comes at once, or twice at a time', async () => {
    const { id } = await rentUntilActive(market);
    await isWell(id, HOUR_MS);
    await Promise.all([release(), release(), release()]);
    await release();
    expect((await moneyOf(market, id)).released).toBe(HOURLY);
  });

  it('is released to the last unit when its time is over: the last part interval is clamped, never lost', async () => {
    const { id } = await rentUntilActive(market);
    await isWell(id, 9.5 * HOUR_MS);
    await release();
    await isWell(id, HOUR_MS);
    await reaches(market, id, 'expired');
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: PRICE, refunded: 0n });
  });

  it('is paid for up to the moment of a cancellation, and the rest goes back', async () => {
    const { id } = await rentUntilActive(market);
    await isWell(id, 2.5 * HOUR_MS);
    await release();
    await isWell(id, 0.5 * HOUR_MS);
    const quoted = (await look(market, id)).refund_if_cancelled_now;
    await cancel(market, id);
    const money = await settledMoney(market, id);
    expect(money).toEqual({ paid: PRICE, released: 3n * HOURLY, refunded: 7n * HOURLY });
    expect(quoted).toEqual({ amount_e9s: String(7n * HOURLY), currency: 'USD' });
  });

  it('earns the set-up fee with its delivery, whatever happens later', async () => {
    const coordinator = market.coordinator;
    market = await openMarket({
      coordinator: await startTestCoordinator({ config: { earning: coordinator.context.config.earning } }),
      offering: { setup_fee: { amount_e9s: String(SETUP_FEE), currency: 'USD' } },
    });
    const { id } = await rentUntilActive(market);
    await wait(HOUR_MS);
    await release();
    expect((await releasesOf(id)).map(({ kind, amount_e9s }) => [kind, amount_e9s])).toEqual([
      ['setup_fee', SETUP_FEE],
      ['time', HOURLY / 6n],
    ]);
    await cancel(market, id);
    await market.agent.report('health', id, { data: { status: 'healthy' } });
    await wait(HOUR_MS);
    await release();
    const { paid, released } = await settledMoney(market, id);
    expect([paid, released]).toEqual([PRICE + SETUP_FEE, SETUP_FEE + HOURLY / 6n]);
  });
});

describe('time that nothing proves', { timeout: 30_000 }, () => {
  it('is the renter’s, without a ticket, and says between which records it lies', async () => {
    const { id } = await rentUntilActive(market);
    const before = await isWell(id, HOUR_MS);
    await wait(30 * MINUTE_MS);
    const after = await isWell(id, HOUR_MS);
    await release();
    // Ten minutes after the last good word, until the next.
    const gapMs = 35 * MINUTE_MS - PROOF_MS;
    const [line, ...others] = await creditsOf(id);
    expect(others).toEqual([]);
    expect((line?.to_at ?? 0) - (line?.from_at ?? 0)).toBe(gapMs);
    expect(line?.proof_before).toBe(hashJws(before.at(-1) ?? ''));
    expect(line?.proof_after).toBe(hashJws(after[0] ?? ''));
    const creditE9s = (HOURLY * BigInt(gapMs)) / BigInt(HOUR_MS);
    expect(line?.amount_e9s).toBe(creditE9s);
    await cancel(market, id);
    const { paid, refunded } = await settledMoney(market, id);
    expect([paid, refunded]).toEqual([PRICE, PRICE - (5n * HOURLY) / 2n + creditE9s]);
  });

  it('says where maintenance was announced, by which record', async () => {
    const { id } = await rentUntilActive(market);
    await isWell(id, HOUR_MS);
    const until = new Date(market.coordinator.clock.now() + 30 * MINUTE_MS).toISOString();
    const data = { draining: false, maintenance_until: until };
    const announcement = market.agent.sign('availability', NO_CONTRACT, { data });
    await market.agent.send([announcement]);
    await wait(40 * MINUTE_MS);
    await isWell(id, HOUR_MS);
    await release();
    const lines = await market.coordinator.context.db.read
      .selectFrom('credits')
      .select(['reason', 'from_at', 'to_at', 'proof_before'])
      .orderBy('from_at')
      .execute();
    expect(lines.map(({ reason, from_at, to_at }) => [reason, to_at - from_at])).toEqual([
      ['maintenance', 20 * MINUTE_MS],
      ['unproved', 15 * MINUTE_MS],
    ]);
    expect(lines[0]?.proof_before).toBe(hashJws(announcement));
  });

  it('begins with the word that the instance is not well', async () => {
    const { id } = await rentUntilActive(market);
    await isWell(id, HOUR_MS);
    await wait(MINUTE_MS);
    await market.agent.report('health', id, { data: { status: 'unhealthy', latency_ms: null } });
    await wait(29 * MINUTE_MS);
    await market.agent.report('health', id, { data: { status: 'healthy', latency_ms: 1 } });
    await isWell(id, HOUR_MS);
    await release();
    const [line] = await creditsOf(id);
    expect((line?.to_at ?? 0) - (line?.from_at ?? 0)).toBe(29 * MINUTE_MS);
  });

  it('waits for the records of an agent that was cut off, and is the provider’s when they prove it', async () => {
    const { id } = await rentUntilActive(market);
    const kept = await isWell(id, 2 * HOUR_MS, { online: false });
    await release();
    expect(await moneyOf(market, id)).toMatchObject({ released: HOURLY / 6n });
    expect(await creditsOf(id)).toEqual([]);
    await market.agent.send(kept);
    await wait(15 * MINUTE_MS);
    await release();
    expect(await creditsOf(id)).toEqual([]);
    expect((await moneyOf(market, id)).released).toBeGreaterThan(2n * HOURLY);
  });

  it('is the renter’s after a day, where nobody came to prove it', async () => {
    const { id } = await rentUntilActive(market);
    await wait(5 * HOUR_MS);
    expect((await cancel(market, id)).status).toBe(200);
    const proved = HOURLY / 6n;
    await until(async () => (await moneyOf(market, id)).refundDue === 0n);
    // The proved minutes and the unused hours are settled at once; the rest hangs on evidence.
    expect(await moneyOf(market, id)).toMatchObject({ released: proved, refunded: 5n * HOURLY });
    await wait(25 * HOUR_MS);
    await release();
    expect(await settledMoney(market, id)).toEqual({
      paid: PRICE,
      released: proved,
      refunded: PRICE - proved,
    });
  });

  it('before a cancellation becomes the provider’s by records that come after it', async () => {
    const { id } = await rentUntilActive(market);
    const kept = await isWell(id, 3 * HOUR_MS, { online: false });
    await cancel(market, id);
    await market.agent.send(kept);
    await wait(HOUR_MS);
    await release();
    expect(await settledMoney(market, id)).toEqual({
      paid: PRICE,
      released: 3n * HOURLY,
      refunded: 7n * HOURLY,
    });
  });

  it('is not made up by a clock that is ahead, nor by words about another contract', async () => {
    const { id } = await rentUntilActive(market);
    const other = await rentUntilActive(market);
    market.coordinator.clock.jump(HOUR_MS);
    const early = market.agent.sign('health', id, { data: { status: 'healthy' } });
    market.coordinator.clock.jump(-HOUR_MS);
    await market.agent.send([early]);
    await wait(2 * HOUR_MS);
    await market.agent.report('health', other.id, { data: { status: 'healthy' } });
    await release();
    expect((await moneyOf(market, id)).released).toBe(HOURLY / 6n);
  });
});

describe('what is not delivered', () => {
  it('earns nothing: all of it goes back by itself', async () => {
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('failed', id, {
      epoch: lease.epoch,
      data: { code: 'BACKEND_ERROR', detail: 'no' },
    });
    await contractBecomes(market, id, ({ state }) => state === 'failed');
    expect(await settledMoney(market, id)).toEqual({ paid: PRICE, released: 0n, refunded: PRICE });
  });
});

describe('a release run', () => {
  it('goes on with the others where the books of one contract do not fit, and says so', async () => {
    const broken = await rentUntilActive(market);
    const sound = await rentUntilActive(market);
    const { context } = market.coordinator;
    await context.db.write((trx) =>
      trx
        .updateTable('contracts')
        .set({ total_e9s: 50n * PRICE })
        .where('id', '=', broken.id)
        .execute(),
    );
    await isWell(broken.id, 3 * HOUR_MS);
    await market.agent.report('health', sound.id, { data: { status: 'healthy' } });
    await release();
    expect((await moneyOf(market, sound.id)).released).toBe(HOURLY / 6n);
    expect((await moneyOf(market, broken.id)).released).toBe(0n);
    expect(market.coordinator.logged).toContainEqual(
      expect.objectContaining({ level: 50, contract: broken.id }),
    );
  });
});
