/**
 * Recomputes the whole ledger in bigints, trusting neither the database's triggers nor its sums, and holds it against
 * everything else that speaks of money, and against the evidence: for `dc-coordinator admin ledger verify`, and for
 * the day when somebody wrote to the file with another program.
 */
import { sql } from 'kysely';
import type { Database, Reader } from '../database/database.ts';
import { problemOfDocuments } from '../invoices/verify-documents.ts';
import { problemOfUsage } from '../usage/verify-usage.ts';
import { problemOfContract } from './verify-contract.ts';
import { Balances, isOfContract, problemOfSet, type RawSet } from './verify-set.ts';
import { listRests } from './payout-store.ts';
import { nextContracts, readBooks, readOtherSets } from './verify-store.ts';

/** How much was checked, and the first thing that does not add up. */
export interface LedgerVerdict {
  sets: number;
  postings: number;
  /** One sentence that names the set, contract, account or record; null when everything adds up. */
  firstProblem: string | null;
}

/** Read at once: memory stays flat except for one balance for each provider, wallet, dispute and payout. */
const PAGE_CONTRACTS = 500;
const PAGE_SETS = 1000;

/**
 * Reads everything once, in one snapshot. Time grows with the ledger. With `proofMs` (how long a record proves) what
 * was released and credited is judged again from the records.
 */
export function verifyLedger(database: Database, proofMs: number | null = null): Promise<LedgerVerdict> {
  return database.snapshot(async (reader) => {
    const verdict: LedgerVerdict = { sets: 0, postings: 0, firstProblem: null };
    const shared = new Balances();
    const count = (set: RawSet): void => {
      verdict.sets += 1;
      verdict.postings += set.postings.length;
      for (const posting of set.postings) if (!isOfContract(posting.account)) shared.add(posting);
    };
    await eachContract(reader, proofMs, (sets, problem) => {
      for (const set of sets) count(set);
      verdict.firstProblem ??= problem;
    });
    for (let afterId: string | null = ''; afterId !== null;) {
      const page = await readOtherSets(reader, afterId, PAGE_SETS);
      for (const set of page) {
        count(set);
        verdict.firstProblem ??= problemOfSet(set);
      }
      afterId = page.at(-1)?.id ?? null;
    }
    verdict.firstProblem ??=
      shared.firstProblem() ??
      (await problemOfPayouts(reader, shared)) ??
      (await problemOfStrays(reader)) ??
      (await problemOfUsage(reader)) ??
      (await problemOfDocuments(reader));
    return verdict;
  });
}

async function eachContract(
  reader: Reader,
  proofMs: number | null,
  take: (sets: readonly RawSet[], problem: string | null) => void,
): Promise<void> {
  let afterId = '';
  for (;;) {
    const lastId = (await nextContracts(reader, afterId, PAGE_CONTRACTS)).at(-1);
    if (lastId === undefined) return;
    for (const books of await readBooks(reader, { afterId, lastId, withEvidence: proofMs !== null }))
      take(books.sets, problemOfContract(books, proofMs));
    afterId = lastId;
  }
}

/** What a payout says is what its releases and its account say; what nobody paid is what providers are owed. */
async function problemOfPayouts(reader: Reader, shared: Balances): Promise<string | null> {
  const sums = new Map<string, bigint>();
  const add = (name: string, amountE9s: bigint): void =>
    void sums.set(name, (sums.get(name) ?? 0n) + amountE9s);
  let afterSeq = 0;
  for (;;) {
    const { rows } = await sql<{
      seq: number;
      provider_pubkey: string;
      currency: string;
      amount_e9s: bigint;
      payout_id: string | null;
    }>`select seq, provider_pubkey, currency, amount_e9s, payout_id from releases
        where seq > ${afterSeq} order by seq limit ${10 * PAGE_SETS}`.execute(reader);
    for (const row of rows) add(row.payout_id ?? `${row.provider_pubkey} in ${row.currency}`, row.amount_e9s);
    const last = rows.at(-1);
    if (last === undefined) break;
    afterSeq = last.seq;
  }
  const payouts = await reader
    .selectFrom('payouts')
    .select(['id', 'provider_pubkey', 'currency', 'amount_e9s', 'releases_e9s', 'state'])
    .orderBy('id')
    .execute();
  for (const { id, currency, amount_e9s: amountE9s, releases_e9s: releasesE9s, state } of payouts) {
    const name = `The payout ${id} (${state})`;
    const paidFor = sums.get(id) ?? 0n;
    if (paidFor !== (state === 'failed' ? 0n : releasesE9s))
      return `${name} is for ${releasesE9s}, and its releases sum to ${paidFor}.`;
    const inFlight = shared.of(`payout_in_flight:${id}`, currency);
    if (inFlight !== (state === 'requested' || state === 'sent' ? amountE9s : 0n))
      return `${name} is of ${amountE9s}, and ${inFlight} is in flight.`;
  }
  for (const { provider_pubkey: provider, currency, rest_e9s: restE9s } of await listRests(reader))
    add(`${provider} in ${currency}`, restE9s);
  const paid = new Set(payouts.map(({ id }) => id));
  const owed = shared.ofKind('provider_payable');
  for (const [name, unpaid] of sums) {
    if (paid.has(name)) continue;
    if (!name.includes(' in ')) return `There are releases of the payout ${name}, which does not exist.`;
    const payable = owed.get(name) ?? 0n;
    if (payable !== unpaid)
      return `The provider ${name} is owed ${payable}, and its unpaid releases sum to ${unpaid}.`;
  }
  return null;
}

/** Rows that belong to no set: only another program, without foreign keys, can have made them. */
async function problemOfStrays(reader: Reader): Promise<string | null> {
  for (const table of ['ledger_postings', 'ledger_seals'] as const) {
    const { rows } = await sql<{ set_id: string }>`
      select set_id from ${sql.table(table)} where set_id not in (select id from ledger_sets) limit 1`.execute(
      reader,
    );
    const [stray] = rows;
    if (stray !== undefined) return `${table} has rows for the set ${stray.set_id}, which does not exist.`;
  }
  return null;
}
