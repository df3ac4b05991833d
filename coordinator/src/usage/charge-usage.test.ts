/** Charging for use where processes crash, and where there are two of them. */
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../database/testing/run-program.ts';
import { verifyLedger } from '../payments/ledger-verify.ts';
import { Crash, CrashPlan, crashingContext } from '../payments/testing/crashing-money.ts';
import { cancel, type Market } from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { chargeUsage } from './charge-usage.ts';
import {
  countAt,
  HOUR_MS,
  openUsageMarket,
  rentMetered,
  report,
  startOf,
  topUp,
  walletOf,
} from './testing/usage-market.ts';

const PROGRAM = fileURLToPath(new URL('./testing/charge-program.ts', import.meta.url));
const UNIT_PRICE = 20_000_000n;
const WALLET = 10_000_000_000n;
const TIMEOUT_MS = 120_000;
const signal = new AbortController().signal;
const nobody = (): Promise<void> => Promise.resolve();

let market: Market;
beforeEach(async () => {
  const coordinator = await startTestCoordinator();
  market = await openUsageMarket({ coordinator, offering: { included_units: 0, places: 100 } });
  await topUp(market, WALLET);
  // Its own job is not the one that is looked at.
  await coordinator.context.db.write((trx) =>
    trx
      .updateTable('outbox')
      .set({ not_before_at: Number.MAX_SAFE_INTEGER })
      .where('topic', '=', 'every:usage')
      .execute(),
  );
});

/** As many contracts that used a unit each and have ended; nothing is charged yet. */
async function useUp(count: number): Promise<void> {
  for (let made = 0; made < count; made += 1) {
    await market.agent.beat();
    const contract = await rentMetered(market);
    await report(market, contract.id, [countAt('c', startOf(contract), 1_000_000_000n)]);
    market.coordinator.clock.jump(1000);
    await cancel(market, contract.id);
    for (const lease of await market.agent.lease())
      await market.agent.report('destroyed', lease.contract_id, { epoch: lease.epoch });
  }
  market.coordinator.clock.jump(2 * HOUR_MS);
}

const charges = () => market.coordinator.context.db.read.selectFrom('usage_charges').selectAll().execute();
const problem = async () => (await verifyLedger(market.coordinator.context.db)).firstProblem;

describe('charging for use', () => {
  it('charges once wherever a process crashes, before and after each write', async () => {
    const { context } = market.coordinator;
    await useUp(2);
    let rounds = 0;
    for (let at = 1, hasCrashed = true; hasCrashed; at += 1) {
      const plan = new CrashPlan(at);
      hasCrashed = await chargeUsage(crashingContext(context, plan), signal, nobody).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Crash) return true;
          throw error;
        },
      );
      expect(await problem()).toBeNull();
      rounds += 1;
    }
    expect(rounds).toBeGreaterThan(4);
    expect((await charges()).map(({ paid_at }) => paid_at !== null)).toEqual([true, true]);
    expect(await walletOf(market)).toBe(WALLET - 2n * UNIT_PRICE);
  });

  it(
    'charges once where two processes do it at the same time',
    async () => {
      const { coordinator } = market;
      await useUp(25);
      const args = [coordinator.folder, String(coordinator.clock.now())];
      const programs = [runProgram(PROGRAM, args), runProgram(PROGRAM, args)];
      const said = await Promise.all(programs.map(({ finished }) => finished));
      const made = said.map((text) => (JSON.parse(text) as { charged: number }).charged);
      expect(made.reduce((sum, count) => sum + count, 0)).toBe(25);
      expect(await charges()).toHaveLength(25);
      expect((await charges()).every(({ paid_at }) => paid_at !== null)).toBe(true);
      expect(await walletOf(market)).toBe(WALLET - 25n * UNIT_PRICE);
      expect(await problem()).toBeNull();
    },
    TIMEOUT_MS,
  );
});
