/** Reads the books of contracts for `verifyLedger`: a page of contracts at a time, in one snapshot. Plain SQL: it reads all there is. */
import { sql } from 'kysely';
import { hashJws, parseJws } from '@dc/shared/crypto/jws';
import type { RecordPayload } from '@dc/shared/evidence/record';
import { isTerminal, type ContractState } from '@dc/shared/state/contract';
import { HOUR_MS } from '../contracts/contract-rules.ts';
import type { Reader } from '../database/database.ts';
import type { Interval } from './judge-time.ts';
import type { ContractBooks, ContractTerms, CreditBook, ReleaseBook } from './verify-contract.ts';
import type { RawSet } from './verify-set.ts';

/** The ids of the next contracts that the ledger knows, in order. */
export async function nextContracts(reader: Reader, afterId: string, limit: number): Promise<string[]> {
  const { rows } = await sql<{ contract_id: string }>`
    select distinct contract_id from ledger_sets where contract_id > ${afterId}
      order by contract_id limit ${limit}`.execute(reader);
  return rows.map(({ contract_id }) => contract_id);
}

interface SetRow {
  id: string;
  cause: string;
  kind: string;
  contract_id: string | null;
  currency: string;
  seal: string | null;
}

interface PostingRow {
  set_id: string;
  account: string;
  amount_e9s: bigint;
  currency: string;
}

/** A page of the sets that belong to no contract, in order. */
export async function readOtherSets(reader: Reader, afterId: string, limit: number): Promise<RawSet[]> {
  const { rows: sets } = await sql<SetRow>`
    select s.id, s.cause, s.kind, s.contract_id, s.currency, seal.set_id as seal
      from ledger_sets s left join ledger_seals seal on seal.set_id = s.id
      where s.id > ${afterId} and s.contract_id is null order by s.id limit ${limit}`.execute(reader);
  const lastId = sets.at(-1)?.id ?? afterId;
  const { rows: postings } = await sql<PostingRow>`
    select p.set_id, p.account, p.amount_e9s, p.currency
      from ledger_sets s join ledger_postings p on p.set_id = s.id
      where s.id > ${afterId} and s.id <= ${lastId} and s.contract_id is null`.execute(reader);
  return joinSets(sets, postings);
}

function joinSets(sets: readonly SetRow[], postings: readonly PostingRow[]): RawSet[] {
  const bySet = Map.groupBy(postings, ({ set_id }) => set_id);
  return sets.map(({ contract_id: contractId, seal, ...set }) => ({
    ...set,
    contractId,
    isSealed: seal !== null,
    postings: (bySet.get(set.id) ?? []).map(({ account, amount_e9s: amountE9s, currency }) => ({
      account,
      amountE9s,
      currency,
    })),
  }));
}

/** The books of the contracts from just after `afterId` up to `lastId`, in order. */
export async function readBooks(
  reader: Reader,
  { afterId, lastId, withEvidence }: { afterId: string; lastId: string; withEvidence: boolean },
): Promise<ContractBooks[]> {
  const range = sql`contract_id > ${afterId} and contract_id <= ${lastId}`;
  const { rows: sets } = await sql<SetRow & { contract_id: string }>`
    select s.id, s.cause, s.kind, s.contract_id, s.currency, seal.set_id as seal
      from ledger_sets s left join ledger_seals seal on seal.set_id = s.id
      where s.${range} order by s.contract_id, s.id`.execute(reader);
  const { rows: postings } = await sql<PostingRow>`
    select p.set_id, p.account, p.amount_e9s, p.currency
      from ledger_sets s join ledger_postings p on p.set_id = s.id where s.${range}`.execute(reader);
  const setsOf = Map.groupBy(joinSets(sets, postings), ({ contractId }) => contractId ?? '');
  const termsOf = await readTerms(reader, afterId, lastId);
  const releasesOf = await readReleases(reader, afterId, lastId);
  const creditsOf = await readCredits(reader, afterId, lastId);
  const { rows: refunds } = await sql<{ contract_id: string; key: string; amount_e9s: bigint }>`
    select contract_id, key, amount_e9s from refunds where ${range}`.execute(reader);
  const refundsOf = Map.groupBy(refunds, ({ contract_id }) => contract_id);
  const recordsOf = withEvidence
    ? await readRecords(reader, afterId, lastId)
    : new Map<string, HealthBook[]>();
  const pausesOf = withEvidence ? await readPauses(reader, afterId, lastId) : new Map<string, Interval[]>();
  return [...setsOf].map(([id, ofContract]) => ({
    id,
    sets: ofContract,
    terms: termsOf.get(id) ?? null,
    releases: releasesOf.get(id) ?? [],
    credits: creditsOf.get(id) ?? [],
    refunds: (refundsOf.get(id) ?? []).map(({ key, amount_e9s: amountE9s }) => ({ key, amountE9s })),
    records: recordsOf.get(id) ?? [],
    pauses: pausesOf.get(id) ?? [],
  }));
}

interface TermsRow {
  id: string;
  currency: string;
  provider_pubkey: string;
  rent_e9s: bigint;
  duration_hours: number;
  active_at: number | null;
  state: ContractState;
  payment_state: string;
  judged_until_at: number | null;
  proved_ms: number;
  unproved_ms: number;
  released_e9s: bigint;
  credited_e9s: bigint;
  due_at: number | null;
}

async function readTerms(
  reader: Reader,
  afterId: string,
  lastId: string,
): Promise<Map<string, ContractTerms>> {
  const { rows } = await sql<TermsRow>`
    select c.id, c.currency, c.provider_pubkey, c.total_e9s - c.setup_fee_e9s as rent_e9s, c.duration_hours, c.active_at,
        c.state, c.payment_state, e.judged_until_at, e.proved_ms, e.unproved_ms, e.released_e9s, e.credited_e9s, e.due_at
      from contracts c left join earnings e on e.contract_id = c.id
      where c.id > ${afterId} and c.id <= ${lastId}`.execute(reader);
  return new Map(
    rows.map((row) => [
      row.id,
      {
        currency: row.currency,
        providerPubkey: row.provider_pubkey,
        rentE9s: row.rent_e9s,
        rentedMs: row.duration_hours * HOUR_MS,
        activeAt: row.active_at,
        hasEnded: isTerminal(row.state),
        isDisputed: row.payment_state === 'disputed',
        earning:
          row.judged_until_at === null
            ? null
            : {
                judgedUntilAt: row.judged_until_at,
                provedMs: row.proved_ms,
                unprovedMs: row.unproved_ms,
                releasedE9s: row.released_e9s,
                creditedE9s: row.credited_e9s,
                isOpen: row.due_at !== null,
              },
      },
    ]),
  );
}

async function readReleases(
  reader: Reader,
  afterId: string,
  lastId: string,
): Promise<Map<string, ReleaseBook[]>> {
  const { rows } = await sql<{
    contract_id: string;
    cause: string;
    kind: string;
    amount_e9s: bigint;
    proved_ms: number;
    from_at: number | null;
    to_at: number | null;
    at: number;
  }>`
    select contract_id, cause, kind, amount_e9s, proved_ms, from_at, to_at, at from releases
      where contract_id > ${afterId} and contract_id <= ${lastId}`.execute(reader);
  const books = rows.map((row): [string, ReleaseBook] => [
    row.contract_id,
    {
      ...{ cause: row.cause, kind: row.kind, amountE9s: row.amount_e9s, provedMs: row.proved_ms, at: row.at },
      ...{ fromAt: row.from_at ?? 0, toAt: row.to_at ?? 0 },
    },
  ]);
  return groupPairs(books);
}

async function readCredits(
  reader: Reader,
  afterId: string,
  lastId: string,
): Promise<Map<string, CreditBook[]>> {
  const { rows } = await sql<{
    contract_id: string;
    cause: string;
    amount_e9s: bigint;
    from_at: number;
    to_at: number;
    at: number;
  }>`
    select contract_id, cause, amount_e9s, from_at, to_at, at from credits
      where contract_id > ${afterId} and contract_id <= ${lastId}`.execute(reader);
  return groupPairs(
    rows.map((row): [string, CreditBook] => [
      row.contract_id,
      { cause: row.cause, amountE9s: row.amount_e9s, fromAt: row.from_at, toAt: row.to_at, at: row.at },
    ]),
  );
}

type HealthBook = ContractBooks['records'][number];

/** The health records that were applied, in the order in which they came. */
async function readRecords(
  reader: Reader,
  afterId: string,
  lastId: string,
): Promise<Map<string, HealthBook[]>> {
  const { rows } = await sql<{
    contract_id: string;
    compact: string;
    hash: string;
    received_at: number;
    seq: number;
    outcome: string;
  }>`
    select contract_id, compact, hash, received_at, seq, outcome from records
      where contract_id > ${afterId} and contract_id <= ${lastId} and kind = 'health'
      order by contract_id, kind, received_at, seq`.execute(reader);
  const books: [string, HealthBook][] = [];
  for (const row of rows) {
    if (row.outcome !== 'applied') continue;
    const payload = parseJws(row.compact)?.payload as RecordPayload | undefined;
    books.push([
      row.contract_id,
      {
        at: Math.min(payload === undefined ? NaN : Date.parse(payload.at), row.received_at),
        isHealthy: payload?.data.status === 'healthy',
        hash: row.hash,
        receivedAt: row.received_at,
        seq: row.seq,
        isIntact: hashJws(row.compact) === row.hash,
      },
    ]);
  }
  return groupPairs(books);
}

async function readPauses(reader: Reader, afterId: string, lastId: string): Promise<Map<string, Interval[]>> {
  const { rows } = await sql<{ contract_id: string; at: number; to_state: string }>`
    select contract_id, at, to_state from contract_history
      where contract_id > ${afterId} and contract_id <= ${lastId} and (from_state = 'paused' or to_state = 'paused')
      order by contract_id, version`.execute(reader);
  const pauses = new Map<string, Interval[]>();
  for (const { contract_id, at, to_state } of rows) {
    const ofContract = pauses.get(contract_id) ?? [];
    pauses.set(contract_id, ofContract);
    const last = ofContract.at(-1);
    if (to_state === 'paused') ofContract.push({ fromAt: at, toAt: Number.MAX_SAFE_INTEGER });
    else if (last !== undefined) last.toAt = at;
  }
  return pauses;
}

function groupPairs<Value>(pairs: readonly (readonly [string, Value])[]): Map<string, Value[]> {
  const groups = new Map<string, Value[]>();
  for (const [key, value] of pairs) {
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [value]);
    else group.push(value);
  }
  return groups;
}
