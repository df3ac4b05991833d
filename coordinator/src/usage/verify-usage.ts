/** Recomputes what was charged for use from the events, and holds it against the ledger: for `admin ledger verify`. */
import { sql } from 'kysely';
import type { Reader } from '../database/database.ts';
import { findContract } from '../contracts/contract-store.ts';
import { findPauses } from '../payments/earning-store.ts';
import { billableTimes, billPeriod, measureUse } from './usage-rules.ts';
import { findMeter, listFacts, listUsageCharges, type ChargeRow } from './usage-store.ts';
import { rentalOf, termsOf } from './usage-view.ts';

const PAGE = 500;

/** One sentence about the first charge that its events, its wallet or its provider's releases contradict; or null. */
export async function problemOfUsage(reader: Reader): Promise<string | null> {
  for (let afterId: string | null = ''; afterId !== null;) {
    const { rows } = await sql<{ contract_id: string }>`
      select distinct contract_id from usage_charges where contract_id > ${afterId}
        order by contract_id limit ${PAGE}`.execute(reader);
    for (const { contract_id: id } of rows) {
      const charges = await listUsageCharges(reader, id);
      const problem =
        (await problemOfAmounts(reader, id, charges)) ?? (await problemOfBooks(reader, charges));
      if (problem !== null) return problem;
    }
    afterId = rows.at(-1)?.contract_id ?? null;
  }
  const { rows } = await sql<{ cause: string }>`
    select cause from releases where kind = 'usage'
      and substr(cause, 7) not in (select id from usage_charges where paid_at is not null) limit 1`.execute(
    reader,
  );
  return rows[0] === undefined ? null : `The release ${rows[0].cause} is of no paid charge.`;
}

/** What was charged for each period, up to each charge, is what the events up to then are worth. */
async function problemOfAmounts(
  reader: Reader,
  contractId: string,
  charges: readonly ChargeRow[],
): Promise<string | null> {
  const contract = await findContract(reader, contractId);
  const meter = await findMeter(reader, contractId);
  const rental = contract === null ? null : rentalOf(contract);
  if (meter === null || rental === null)
    return `The contract ${contractId} was charged for use, and has no meter.`;
  const billable = billableTimes(rental, await findPauses(reader, contractId, Infinity));
  let before = { fromAt: -1, amountE9s: 0n, overageE9s: 0n };
  for (const charge of charges) {
    const period = { fromAt: charge.from_at, toAt: charge.to_at };
    if (before.fromAt !== period.fromAt) before = { fromAt: period.fromAt, amountE9s: 0n, overageE9s: 0n };
    const facts = await listFacts(reader, contractId, { period, through: charge.events_through });
    const used = measureUse(facts, billable, period);
    const name = `The charge ${charge.id} for the use of the contract ${contractId}`;
    if (used.usedMs !== charge.used_ms || used.countedE9s !== charge.counted_e9s)
      return `${name} counts ${charge.used_ms} ms and ${charge.counted_e9s}, and its events say ${used.usedMs} ms and ${used.countedE9s}.`;
    const bill = billPeriod(termsOf(meter), used, period);
    const amountE9s = before.amountE9s + charge.amount_e9s;
    const overageE9s = before.overageE9s + charge.overage_e9s;
    if (amountE9s !== bill.amountE9s)
      return `${name} brings its period to ${amountE9s}, and its events are worth ${bill.amountE9s}.`;
    if (overageE9s !== bill.overageE9s)
      return `${name} brings its period to ${overageE9s} units, and its events say ${bill.overageE9s}.`;
    before = { ...before, amountE9s, overageE9s };
  }
  return null;
}

/** A charge is paid exactly where the ledger took it from its renter's wallet. */
async function problemOfBooks(reader: Reader, charges: readonly ChargeRow[]): Promise<string | null> {
  for (const charge of charges) {
    const row = await reader
      .selectFrom('ledger_sets as s')
      .innerJoin('ledger_postings as p', 'p.set_id', 's.id')
      .select('p.amount_e9s')
      .where('s.cause', '=', `usage:${charge.id}`)
      .where('p.account', '=', `renter_wallet:${charge.renter_pubkey}`)
      .where('p.currency', '=', charge.currency)
      .executeTakeFirst();
    const taken = -(row?.amount_e9s ?? 0n);
    if (taken !== (charge.paid_at === null ? 0n : charge.amount_e9s))
      return `The charge ${charge.id} of ${charge.amount_e9s} is ${charge.paid_at === null ? 'un' : ''}paid, and ${taken} was taken for it.`;
  }
  return null;
}
