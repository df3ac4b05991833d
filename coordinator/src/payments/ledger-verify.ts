/**
 * Recomputes the whole ledger in bigints, trusting neither the database's triggers nor its sums: for
 * `dc-coordinator admin ledger verify`, and for the day when somebody wrote to the file with another program.
 */
import { sql } from 'kysely';
import type { Database, Reader } from '../database/database.ts';

/** How much was checked, and the first thing that does not add up. */
export interface LedgerVerdict {
  sets: number;
  postings: number;
  /** One sentence that names the set, contract or account; null when everything adds up. */
  firstProblem: string | null;
}

/** Sets read at once: memory stays flat except for one balance an account. */
const PAGE_SETS = 500;

interface SetWithPostings {
  id: string;
  cause: string;
  kind: string;
  contractId: string | null;
  currency: string;
  isSealed: boolean;
  postings: { account: string; amountE9s: bigint; currency: string }[];
}

/** Reads everything once, in one snapshot. Time and memory grow with the ledger. */
export function verifyLedger(database: Database): Promise<LedgerVerdict> {
  return database.snapshot(async (reader) => {
    const totals = new Totals();
    const verdict: LedgerVerdict = { sets: 0, postings: 0, firstProblem: null };
    for (
      let page = await readPage(reader, '');
      page.length > 0;
      page = await readPage(reader, page.at(-1)?.id ?? '')
    ) {
      for (const set of page) {
        verdict.sets += 1;
        verdict.postings += set.postings.length;
        verdict.firstProblem ??= problemOfSet(set);
        totals.add(set);
      }
    }
    verdict.firstProblem ??= totals.firstProblem() ?? (await problemOfStrays(reader));
    return verdict;
  });
}

async function readPage(reader: Reader, afterId: string): Promise<SetWithPostings[]> {
  const sets = await reader
    .selectFrom('ledger_sets as s')
    .leftJoin('ledger_seals as seal', 'seal.set_id', 's.id')
    .select(['s.id', 's.cause', 's.kind', 's.contract_id', 's.currency', 'seal.set_id as seal'])
    .where('s.id', '>', afterId)
    .orderBy('s.id')
    .limit(PAGE_SETS)
    .execute();
  if (sets.length === 0) return [];
  const postings = await reader
    .selectFrom('ledger_postings')
    .select(['set_id', 'account', 'amount_e9s', 'currency'])
    .where('set_id', '>', afterId)
    .where('set_id', '<=', sets.at(-1)?.id ?? afterId)
    .execute();
  const bySet = Map.groupBy(postings, (posting) => posting.set_id);
  return sets.map((set) => ({
    id: set.id,
    cause: set.cause,
    kind: set.kind,
    contractId: set.contract_id,
    currency: set.currency,
    isSealed: set.seal !== null,
    postings: (bySet.get(set.id) ?? []).map(({ account, amount_e9s, currency }) => ({
      account,
      amountE9s: amount_e9s,
      currency,
    })),
  }));
}

function problemOfSet(set: SetWithPostings): string | null {
  const name = `The set ${set.id} (${set.cause})`;
  if (set.postings.some((posting) => typeof posting.amountE9s !== 'bigint'))
    return `${name} has an amount that is no integer.`;
  if (!set.isSealed) return `${name} has no seal.`;
  if (set.postings.length < 2) return `${name} has ${set.postings.length} postings.`;
  const foreign = set.postings.find((posting) => posting.currency !== set.currency);
  if (foreign !== undefined) return `${name} mixes ${set.currency} and ${foreign.currency}.`;
  const sum = set.postings.reduce((total, posting) => total + posting.amountE9s, 0n);
  if (sum !== 0n) return `${name} sums to ${sum} instead of 0.`;
  const stray = set.postings.find(
    ({ account }) => isOfContract(account) && !account.endsWith(`:${set.contractId ?? ''}`),
  );
  if (stray !== undefined) return `${name} posts to ${stray.account}, which is not its contract's.`;
  return null;
}

function isOfContract(account: string): boolean {
  return account.startsWith('escrow:') || account.startsWith('refund_due:');
}

/** What may never have taken more from a contract's escrow than the first of them put in. */
const KINDS_OF_ESCROW: readonly string[] = ['payment_received', 'released_to_provider', 'refund_decided'];

/** Adds up, over all sets, the accounts that belong to contracts. */
class Totals {
  readonly #balances = new Map<string, bigint>();
  /** Paid less released less refunded, for each escrow account. */
  readonly #unspent = new Map<string, bigint>();

  add(set: SetWithPostings): void {
    for (const { account, amountE9s } of set.postings) {
      if (!isOfContract(account)) continue;
      const name = `${account} in ${set.currency}`;
      this.#balances.set(name, (this.#balances.get(name) ?? 0n) + amountE9s);
      if (!account.startsWith('escrow:') || !KINDS_OF_ESCROW.includes(set.kind)) continue;
      this.#unspent.set(name, (this.#unspent.get(name) ?? 0n) + amountE9s);
    }
  }

  firstProblem(): string | null {
    for (const [account, balance] of this.#balances) {
      if (balance < 0n) return `The account ${account} is at ${balance}, below zero.`;
    }
    for (const [account, unspent] of this.#unspent) {
      if (unspent < 0n) return `From ${account}, ${-unspent} more was released and refunded than was paid.`;
    }
    return null;
  }
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
