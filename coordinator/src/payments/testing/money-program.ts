/**
 * A program of the tests: `node money-program.ts FOLDER` is a coordinator process that cancels every contract there is
 * in FOLDER, refunds them, runs releases and pays providers out, as fast as it can and as if it were alone. Prints
 * how many of each it was that did, as JSON.
 */
import { pino } from 'pino';
import { sleep } from '@dc/shared/clock';
import { isAppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import { moveContract } from '../../contracts/contract-service.ts';
import { findContract } from '../../contracts/contract-store.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { testConfig } from '../../testing/test-config.ts';
import { createCoordinator } from '../../wiring.ts';
import { movePayout, requestPayout } from '../payout-service.ts';
import { listOwed, listPayouts } from '../payout-store.ts';
import { sendRefund } from '../refund-job.ts';
import { releaseEarnings } from '../release-job.ts';
import { endRefundKey } from '../settlement.ts';
import { CANCELLED_AT, openVendor } from './vendor-file.ts';

const [folder = ''] = process.argv.slice(2);
const AT_ONCE = 20;
const signal = new AbortController().signal;
const done = { cancelled: 0, payouts: 0, sends: 0 };
// Stands still, so that every contract is worth the same; waiting for the other process is real.
const clock = { ...systemClock, now: () => CANCELLED_AT };
const vendor = openVendor(folder);
const parts = { clock, random: systemRandom, log: pino({ level: 'silent' }), version: 'test' };
const { context, stop } = await createCoordinator(testConfig(folder), parts);
const payments = new Map([
  [
    'test',
    {
      method: 'test',
      settleAtOnce: () => null,
      refund: ({ key, amount }: { key: string; amount: { amountE9s: bigint } }) =>
        Promise.resolve(vendor.move(key, amount.amountE9s)),
    },
  ],
]);

/** What the other process was faster at. */
async function unlessLost(job: () => Promise<void>, codes: readonly string[]): Promise<void> {
  try {
    await job();
  } catch (error) {
    if (!isAppError(error) || !codes.includes(error.code)) throw error;
  }
}

const cancel = (id: string): Promise<void> =>
  unlessLost(async () => {
    await context.db.write(async (trx) => {
      const contract = await findContract(trx, id);
      if (contract === null) throw new Error(`there is no contract ${id}`);
      await moveContract(context, trx, contract, { event: 'cancel', actor: 'renter', reason: 'test' });
    });
    done.cancelled += 1;
  }, ['CONTRACT_STATE']);

async function payOut(): Promise<void> {
  for (const owed of await listOwed(context.db.read, { after: { provider: '', currency: '' }, limit: 10 }))
    await unlessLost(async () => {
      const { provider_pubkey, currency, through, total_e9s: amountE9s } = owed;
      const body = { provider_pubkey, through, total: toWire({ amountE9s, currency }) };
      await context.db.write((trx) => requestPayout(context, trx, body, 'ad'.repeat(32)));
      done.payouts += 1;
    }, ['PAYOUT_CONFLICT']);
  for (const { id, key, amount_e9s } of await listPayouts(context.db.read, {
    state: 'requested',
    limit: 10,
  })) {
    done.sends += 1;
    vendor.move(key, amount_e9s);
    const sent = { to: 'sent' as const, reference: key };
    await context.db.write((trx) => movePayout(context, trx, id, sent));
  }
  for (const { id } of await listPayouts(context.db.read, { state: 'sent', limit: 10 }))
    await context.db.write((trx) => movePayout(context, trx, id, { to: 'confirmed' }));
}

// Neither begins before the other one is there.
while (vendor.arrive(String(process.pid)) < 2) await sleep(systemClock, 5);
const contracts = await context.db.read.selectFrom('contracts').select('id').orderBy('id').execute();
for (let from = 0; from < contracts.length; from += AT_ONCE) {
  const batch = contracts.slice(from, from + AT_ONCE);
  await Promise.all(
    batch.map(async ({ id }) => {
      await cancel(id);
      await sendRefund(context, payments, endRefundKey(id), signal);
    }),
  );
  await releaseEarnings(context, signal);
  await unlessLost(payOut, ['PAYOUT_STATE']);
}
await stop(1000);
vendor.close();
process.stdout.write(JSON.stringify(done));
