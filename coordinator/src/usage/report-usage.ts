/**
 * Tells a meter elsewhere of each charge for use, exactly once. What is written down before the call says that it may
 * have arrived; `reported_at` says that it has, and nothing else does. The meter takes an id once, but forgets it after
 * a day: from then on it is asked first.
 */
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { defineTopic } from '../jobs/outbox.ts';
import {
  findCharge,
  findCustomer,
  findReport,
  insertCustomer,
  insertReport,
  listReportMinutes,
  listUsageCharges,
  updateReport,
  type ChargeRow,
} from './usage-store.ts';
import type { UsageReporter } from './usage-reporter.ts';

/** Charges to tell of; the key of the row is the charge's. */
export const USAGE_REPORT_TOPIC = defineTopic<Record<string, never>>('usage.report');

const MINUTE_MS = 60_000;
/** A meter remembers ids for a day at least. */
const REMEMBERED_MS = 23 * 3_600_000;
/** Stripe takes 35 days. */
const BACKDATED_MS_MAX = 34 * 86_400_000;
const THOUSANDTH_E9S = 1_000_000n;

/** Leaves word that a charge is to be told of, in the transaction that makes it. */
export async function askForReport(
  context: Pick<Context, 'outbox'>,
  trx: Transaction,
  charge: ChargeRow,
): Promise<void> {
  await context.outbox.enqueue(trx, USAGE_REPORT_TOPIC, { key: charge.id, payload: {} });
}

/** Tells of a charge. Idempotent. Throws where it is not certain that the meter knows; it is then tried again. */
export async function reportUsage(
  context: Pick<Context, 'db' | 'clock'>,
  reporter: UsageReporter,
  chargeId: string,
  signal: AbortSignal,
): Promise<void> {
  const { db, clock } = context;
  const charge = await findCharge(db.read, chargeId);
  if (charge === null) return;
  const customer = await customerOf(context, reporter, charge.renter_pubkey, signal);
  const { report, isFirst } = await db.write((trx) =>
    prepareReport(trx, charge, { customer, now: clock.now() }),
  );
  if (report.reported_at !== null) return;
  const words = { id: chargeId, customer: report.customer_id, at: report.event_at };
  // The first time it may have been told before all the same, by whoever had this database before it was restored.
  const isForgotten = clock.now() - (isFirst ? charge.to_at : report.sent_at) > REMEMBERED_MS;
  if (!isForgotten || !(await reporter.isKnown(words, signal))) {
    // The id is fresh from here on, so that the next attempt may repeat it.
    if (isForgotten) await db.write((trx) => updateReport(trx, chargeId, { sent_at: clock.now() }));
    await reporter.report({ ...words, value: await thousandthsOf(context, charge) }, signal);
  }
  await db.write((trx) => updateReport(trx, chargeId, { reported_at: clock.now() }));
}

async function customerOf(
  { db }: Pick<Context, 'db'>,
  reporter: UsageReporter,
  pubkey: string,
  signal: AbortSignal,
): Promise<string> {
  const known = await findCustomer(db.read, pubkey);
  if (known !== null) return known;
  const account = await db.read
    .selectFrom('accounts')
    .select('email')
    .where('pubkey', '=', pubkey)
    .executeTakeFirst();
  const made = await reporter.createCustomer({ pubkey, email: account?.email ?? null }, signal);
  return db.write(async (trx) => {
    await insertCustomer(trx, pubkey, made);
    // Another process may have been faster: its customer is the one.
    return (await findCustomer(trx, pubkey)) ?? made;
  });
}

/** The report as it is to be sent, written down before it is; the one of an earlier attempt where there was one. */
async function prepareReport(
  trx: Transaction,
  charge: ChargeRow,
  { customer, now }: { customer: string; now: number },
) {
  const before = await findReport(trx, charge.id);
  if (before !== null) return { report: before, isFirst: false };
  const taken = new Set(await listReportMinutes(trx, customer));
  // Back from the end of its period: a meter takes what is old, though not too old.
  let eventAt = Math.floor(Math.max(charge.to_at, now - BACKDATED_MS_MAX) / MINUTE_MS) * MINUTE_MS;
  while (taken.has(eventAt)) eventAt -= MINUTE_MS;
  const report = {
    charge_id: charge.id,
    customer_id: customer,
    event_at: eventAt,
    sent_at: now,
    reported_at: null,
  };
  await insertReport(trx, report);
  return { report, isFirst: true };
}

/** What this charge adds to its period, in whole thousandths: those of a period add up, however many charges it has. */
async function thousandthsOf({ db }: Pick<Context, 'db'>, charge: ChargeRow): Promise<bigint> {
  const earlier = (await listUsageCharges(db.read, charge.contract_id))
    .filter(
      ({ from_at, events_through }) => from_at === charge.from_at && events_through < charge.events_through,
    )
    .reduce((sum, { overage_e9s }) => sum + overage_e9s, 0n);
  return (earlier + charge.overage_e9s) / THOUSANDTH_E9S - earlier / THOUSANDTH_E9S;
}
