/**
 * PURE: holds one contract's postings against everything else that is kept about its money: its releases, credits and
 * refunds, and the records that prove its time.
 */
import { judgeTime, type Interval } from './judge-time.ts';
import { spansOf, type HealthWord } from './proof-spans.ts';
import { Balances, isOfContract, problemOfSet, type RawSet } from './verify-set.ts';

/** What the database holds of one contract. */
export interface ContractBooks {
  id: string;
  sets: readonly RawSet[];
  /** Null where the contract itself is not kept (any more). */
  terms: ContractTerms | null;
  releases: readonly ReleaseBook[];
  credits: readonly CreditBook[];
  refunds: readonly { key: string; amountE9s: bigint }[];
  /** In the order in which they came; empty where evidence is not checked. */
  records: readonly (HealthWord & { receivedAt: number; seq: number; isIntact: boolean })[];
  pauses: readonly Interval[];
}

export interface ContractTerms {
  currency: string;
  providerPubkey: string;
  rentE9s: bigint;
  rentedMs: number;
  activeAt: number | null;
  hasEnded: boolean;
  isDisputed: boolean;
  earning: {
    judgedUntilAt: number;
    provedMs: number;
    unprovedMs: number;
    releasedE9s: bigint;
    creditedE9s: bigint;
    isOpen: boolean;
  } | null;
}

export interface ReleaseBook extends Interval {
  cause: string;
  kind: string;
  amountE9s: bigint;
  provedMs: number;
  at: number;
}

export interface CreditBook extends Interval {
  cause: string;
  amountE9s: bigint;
  at: number;
}

/** Rounding leaves this much to the last step of a rental. */
const ROUNDING_E9S = 2n;

/** One sentence about the first thing that does not fit; null when all of it does. `proofMs` null: no evidence. */
export function problemOfContract(books: ContractBooks, proofMs: number | null): string | null {
  for (const set of books.sets) {
    const problem = problemOfSet(set);
    if (problem !== null) return problem;
  }
  const problem = problemOfBalances(books) ?? problemOfRows(books);
  if (problem !== null || books.terms === null) return problem;
  return (
    problemOfEarning(books, books.terms) ??
    (proofMs === null ? null : problemOfEvidence(books, books.terms, proofMs)) ??
    problemOfEnd(books, books.terms)
  );
}

const PAYING_KINDS: readonly string[] = ['payment_received', 'paid_from_wallet'];
const PARKING_KINDS: readonly string[] = ['dispute_opened', 'dispute_won'];

function problemOfBalances({ id, sets }: ContractBooks): string | null {
  const balances = new Balances();
  const unspent = new Map<string, bigint>();
  const escrow = `escrow:${id}`;
  for (const { kind, postings } of sets)
    for (const posting of postings) {
      balances.add(posting);
      const { account, amountE9s, currency } = posting;
      if (account !== escrow || PARKING_KINDS.includes(kind)) continue;
      if (amountE9s < 0n || PAYING_KINDS.includes(kind))
        unspent.set(currency, (unspent.get(currency) ?? 0n) + amountE9s);
    }
  // A wallet's other sets are not here: it is judged with all of them.
  const problem = balances.firstProblem(isOfContract);
  if (problem !== null) return problem;
  for (const [currency, left] of unspent)
    if (left < 0n)
      return `From ${escrow} in ${currency}, ${-left} more was released and refunded than was paid.`;
  return null;
}

const RELEASING_KINDS: readonly string[] = ['setup_fee_released', 'released_to_provider', 'usage_charged'];

/** Every row that speaks of money has its set, and every such set has its rows. */
function problemOfRows({ id, sets, terms, releases, credits, refunds }: ContractBooks): string | null {
  const byCause = new Map(sets.map((set) => [set.cause, set]));
  const moved = (cause: string, prefix: string): bigint =>
    (byCause.get(cause)?.postings ?? [])
      .filter(({ account }) => account.startsWith(prefix))
      .reduce((sum, { amountE9s }) => sum + amountE9s, 0n);
  for (const { cause, amountE9s } of releases)
    if (moved(cause, 'provider_payable:') !== amountE9s)
      return `The release ${cause} is ${amountE9s}, and its postings say ${moved(cause, 'provider_payable:')}.`;
  const creditSums = new Map<string, bigint>();
  for (const { cause, amountE9s } of credits)
    creditSums.set(cause, (creditSums.get(cause) ?? 0n) + amountE9s);
  for (const [cause, sum] of creditSums)
    if (moved(cause, `renter_credit:${id}`) !== sum)
      return `The credits of ${cause} sum to ${sum}, and its postings say ${moved(cause, `renter_credit:${id}`)}.`;
  for (const { key, amountE9s } of refunds)
    if (moved(key, `refund_due:${id}`) !== amountE9s)
      return `The refund ${key} is ${amountE9s}, and its postings say ${moved(key, `refund_due:${id}`)}.`;
  const known = new Set([
    ...releases.map(({ cause }) => cause),
    ...creditSums.keys(),
    ...refunds.map(({ key }) => key),
  ]);
  const named = new Set([...RELEASING_KINDS, 'credited_to_renter', 'refund_decided']);
  // Archived contracts keep their postings only.
  if (terms === null) return null;
  const orphan = sets.find(({ kind, cause }) => named.has(kind) && !known.has(cause));
  return orphan === undefined
    ? null
    : `The set ${orphan.id} (${orphan.cause}) is of no ${rowOf(orphan.kind)}.`;
}

const rowOf = (kind: string): string =>
  kind === 'refund_decided' ? 'refund' : kind === 'credited_to_renter' ? 'credit' : 'release';

/** What is written down of the earning is what the postings add up to, and what its milliseconds are worth. */
function problemOfEarning({ id, sets, releases }: ContractBooks, terms: ContractTerms): string | null {
  const { earning, rentE9s, rentedMs } = terms;
  if (earning === null) return null;
  const fromEscrow = (kind: string): bigint =>
    sets
      .filter((set) => set.kind === kind)
      .flatMap(({ postings }) => postings)
      .filter(({ account }) => account === `escrow:${id}`)
      .reduce((sum, { amountE9s }) => sum - amountE9s, 0n);
  const released = fromEscrow('released_to_provider');
  const name = `The contract ${id}`;
  if (released !== earning.releasedE9s)
    return `${name} says that ${earning.releasedE9s} was released for time, and its postings say ${released}.`;
  const credited = fromEscrow('credited_to_renter');
  if (credited !== earning.creditedE9s)
    return `${name} says that ${earning.creditedE9s} was credited, and its postings say ${credited}.`;
  const provedMs = releases.reduce((sum, release) => sum + release.provedMs, 0);
  // Fewer where an interval was worth less than a unit.
  if (provedMs > earning.provedMs)
    return `${name} says that ${earning.provedMs} ms were proved, and its releases say ${provedMs} ms.`;
  for (const [ms, amountE9s, what] of [
    [earning.provedMs, released, 'released'],
    [earning.unprovedMs, credited, 'credited'],
  ] as const) {
    const worthE9s = (rentE9s * BigInt(ms)) / BigInt(rentedMs);
    if (amountE9s < worthE9s || amountE9s > worthE9s + ROUNDING_E9S)
      return `${name} has ${amountE9s} ${what} for ${ms} ms, which are worth ${worthE9s}.`;
  }
  return null;
}

/** Every release is proved by the records that had come by then, and no credit was given for time that they prove. */
function problemOfEvidence(books: ContractBooks, terms: ContractTerms, proofMs: number): string | null {
  const broken = books.records.find(({ isIntact }) => !isIntact);
  if (broken !== undefined)
    return `The record ${broken.seq} of the contract ${books.id} is not the one whose hash is kept: ${broken.hash}.`;
  const { activeAt } = terms;
  if (activeAt === null) return null;
  // What came in the same millisecond as the judgement may have come before or after it.
  const provedBy = (interval: Interval, at: number): number[] =>
    [at, at - 1].map((until) => {
      const words = books.records.filter(({ receivedAt }) => receivedAt <= until);
      return judgeTime({
        ...{ fromAt: interval.fromAt, toAt: interval.toAt, pauses: books.pauses },
        spans: spansOf(activeAt, words, proofMs),
        finalUntilAt: Infinity,
        leftMs: Infinity,
      }).provedMs;
    });
  for (const release of books.releases) {
    if (release.kind !== 'time' || release.toAt <= release.fromAt) continue;
    const proved = provedBy(release, release.at);
    // Less than what is proved where the paid time was over before the interval.
    if (proved.every((ms) => release.provedMs > ms))
      return `The release ${release.cause} says that ${release.provedMs} ms were proved, and its records prove ${Math.max(...proved)} ms.`;
  }
  for (const credit of books.credits)
    if (provedBy(credit, credit.at).every((ms) => ms > 0))
      return `The credit of ${credit.cause} is for time that records prove.`;
  return null;
}

/** Nothing stays in the escrow of a contract that has ended, unless it waits for evidence or a dispute. */
function problemOfEnd({ id, sets }: ContractBooks, terms: ContractTerms): string | null {
  if (!terms.hasEnded || terms.isDisputed || terms.earning?.isOpen === true) return null;
  const left = sets
    .flatMap(({ postings }) => postings)
    .filter(({ account }) => account === `escrow:${id}`)
    .reduce((sum, { amountE9s }) => sum + amountE9s, 0n);
  return left === 0n ? null : `The contract ${id} has ended, and ${left} is left in its escrow.`;
}
