/**
 * Judges the time of contracts and books what comes of it: releases to the provider, credits for the renter, each
 * with the records that prove it. The release run calls it while a contract lives, settlement when it ends; both in a
 * transaction of their own.
 */
import type { Context } from '../context.ts';
import { endOfPause, HOUR_MS } from '../contracts/contract-rules.ts';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Reader, Transaction } from '../database/database.ts';
import type { CreditsTable, EarningsTable } from '../database/tables-money.ts';
import {
  findChainTime,
  findEarning,
  findMaintenance,
  findPauses,
  insertCredits,
  insertEarning,
  insertReleases,
  NO_TIME,
  updateEarning,
  type EarningContract,
  type EarningRow,
} from './earning-store.ts';
import { earn, endEarning, type EarningStep, type EarningTerms } from './earning-rules.ts';
import { judgeTime, nameMaintenance, type Interval, type Judgement, type ProvedSpan } from './judge-time.ts';
import { creditedToRenter, releasedToProvider, setupFeeReleased, type PostingSet } from './ledger.ts';
import { beginProof, findSpans } from './proof-store.ts';

/** The delivery of a contract was verified: from now on its time is judged. */
export async function startEarning(
  { config }: Pick<Context, 'config'>,
  trx: Transaction,
  contractId: string,
  at: number,
): Promise<void> {
  const { releaseIntervalMs, proofMs } = config.earning;
  await insertEarning(trx, { contractId, at, dueAt: at + releaseIntervalMs });
  await beginProof(trx, { contractId, at, proofMs });
}

/** What was decided of a contract's time, not booked yet. */
export interface Decision {
  contract: EarningContract;
  before: EarningsTable;
  judgement: Judgement;
  step: EarningStep;
  /** What goes back for unused time, once it has ended; 0 while it runs. */
  refundE9s: bigint;
}

/** The moment of a decision, and how long evidence may come late. */
export interface DecisionTime {
  now: number;
  graceMs: number;
}

/** Decides what can be decided of these contracts' time by `now`, or by their end. Reads only. */
export async function decideEarnings(
  reader: Reader,
  rows: readonly EarningRow[],
  time: DecisionTime,
): Promise<Decision[]> {
  const spans = await findSpans(
    reader,
    rows.map(({ contract, earning }) => ({ contractId: contract.id, pastAt: earning.judged_until_at })),
  );
  const decisions: Decision[] = [];
  for (const row of rows) {
    const judgement = await judgeRow(reader, row, { ...time, spans: spans.get(row.contract.id) ?? [] });
    decisions.push(decide(row, await withMaintenance(reader, row.contract, judgement)));
  }
  return decisions;
}

/** What would go back to the renter at once if the contract ended now: for unused time, and what was credited. */
export async function quoteRefund(reader: Reader, contract: ContractRow, now: number): Promise<bigint> {
  if (contract.paid_at === null) return 0n;
  const earning = await findEarning(reader, contract.id);
  if (earning === null) return contract.total_e9s;
  const ended = { ...contract, ...endOfPause(contract, now), ended_at: now };
  const [decision] = await decideEarnings(reader, [{ contract: ended, earning }], { now, graceMs: now });
  return decision === undefined ? 0n : decision.refundE9s + decision.step.earned.creditedE9s;
}

/** Says which of the time that nothing proves was announced. */
async function withMaintenance(
  reader: Reader,
  { agent_key: agentKey }: EarningContract,
  judgement: Judgement,
): Promise<Judgement> {
  if (judgement.gaps.length === 0 || agentKey === null) return judgement;
  return { ...judgement, gaps: nameMaintenance(judgement.gaps, await findMaintenance(reader, agentKey)) };
}

async function judgeRow(
  reader: Reader,
  { contract, earning }: EarningRow,
  { now, graceMs, spans }: DecisionTime & { spans: readonly ProvedSpan[] },
): Promise<Judgement> {
  const toAt = contract.ended_at ?? now;
  const question = {
    fromAt: earning.judged_until_at,
    toAt,
    pauses: await pausesOf(reader, contract, toAt),
    spans,
    leftMs: contract.duration_hours * HOUR_MS - earning.proved_ms - earning.unproved_ms,
    finalUntilAt: now - graceMs,
  };
  const judgement = judgeTime(question);
  if (!judgement.isWaiting || contract.agent_key === null) return judgement;
  // What nothing proves may still be proved, until its agent has spoken of a later moment.
  const spokenAt = await findChainTime(reader, contract.agent_key);
  if (spokenAt === null || spokenAt <= question.finalUntilAt) return judgement;
  return judgeTime({ ...question, finalUntilAt: spokenAt });
}

function decide({ contract, earning }: EarningRow, judgement: Judgement): Decision {
  const terms = termsOf(contract, earning);
  const { ended_at: endedAt } = contract;
  if (endedAt === null)
    return { contract, before: earning, judgement, step: earn(terms, judgement), refundE9s: 0n };
  const end = { activeAt: contract.active_at ?? endedAt, pausedMs: contract.paused_ms, endedAt };
  const { refundE9s, ...step } = endEarning(terms, judgement, end);
  return { contract, before: earning, judgement, step, refundE9s };
}

function pausesOf(reader: Reader, contract: EarningContract, until: number): Promise<Interval[]> {
  const wasPaused = contract.paused_at !== null || contract.paused_ms > 0;
  return wasPaused ? findPauses(reader, contract.id, until) : Promise.resolve([]);
}

function termsOf(contract: EarningContract, earning: EarningsTable): EarningTerms {
  return {
    currency: contract.currency,
    paidE9s: contract.total_e9s,
    setupFeeE9s: contract.setup_fee_e9s,
    rentedMs: contract.duration_hours * HOUR_MS,
    earned: {
      provedMs: earning.proved_ms,
      unprovedMs: earning.unproved_ms,
      releasedE9s: earning.released_e9s,
      creditedE9s: earning.credited_e9s,
      setupFeeReleased: earning.setup_fee_released === 1,
    },
  };
}

/** Books decisions, and writes down how far each contract is judged and when it is looked at again (null: never). */
export async function bookEarnings(
  context: Pick<Context, 'ledger'>,
  trx: Transaction,
  decisions: readonly (Decision & { dueAt: number | null })[],
  now: number,
): Promise<void> {
  const booked = decisions.map((decision) => setsOf(decision, now));
  await context.ledger.appendNew(
    trx,
    booked.flatMap(({ sets }) => sets),
  );
  await insertReleases(
    trx,
    booked.flatMap(({ releases }) => releases),
  );
  await insertCredits(
    trx,
    booked.flatMap(({ credits }) => credits),
  );
  for (const { before, judgement, step, dueAt } of decisions) {
    await updateEarning(trx, {
      contract_id: before.contract_id,
      judged_until_at: judgement.untilAt,
      proved_ms: step.earned.provedMs,
      unproved_ms: step.earned.unprovedMs,
      released_e9s: step.earned.releasedE9s,
      credited_e9s: step.earned.creditedE9s,
      setup_fee_released: 1,
      due_at: dueAt,
    });
  }
}

/** The postings and rows of one decision. A cause names the moment from which time was judged: it is judged once. */
function setsOf({ contract, before, judgement, step }: Decision, now: number) {
  const { id, currency, provider_pubkey: providerPubkey } = contract;
  const money = (amountE9s: bigint) => ({ amountE9s, currency });
  const movement = { contractId: id, providerPubkey, fee: money(0n) };
  const from = `${id}:from:${String(before.judged_until_at)}`;
  const sets: PostingSet[] = [];
  const releases: Parameters<typeof insertReleases>[1][number][] = [];
  const common = { contract_id: id, provider_pubkey: providerPubkey, currency, at: now, payout_id: null };
  if (step.setupFeeE9s > 0n) {
    const cause = `setup-fee:${id}`;
    sets.push(setupFeeReleased({ ...movement, cause, toProvider: money(step.setupFeeE9s) }));
    releases.push({ ...common, cause, amount_e9s: step.setupFeeE9s, kind: 'setup_fee', ...NO_TIME });
  }
  if (step.releaseE9s > 0n) {
    const cause = `release:${from}`;
    sets.push(releasedToProvider({ ...movement, cause, toProvider: money(step.releaseE9s) }));
    releases.push({
      ...common,
      cause,
      amount_e9s: step.releaseE9s,
      kind: 'time',
      from_at: before.judged_until_at,
      to_at: judgement.untilAt,
      proved_ms: judgement.provedMs,
      first_proof: judgement.firstProof,
      last_proof: judgement.lastProof,
    });
  }
  const cause = `credit:${from}`;
  if (step.creditE9s > 0n) sets.push(creditedToRenter({ ...movement, cause, amount: money(step.creditE9s) }));
  const credits = step.credits.map((line): CreditsTable => ({
    contract_id: id,
    from_at: line.fromAt,
    to_at: line.toAt,
    reason: line.reason,
    amount_e9s: line.amountE9s,
    proof_before: line.proofBefore,
    proof_after: line.proofAfter,
    cause,
    at: now,
  }));
  return { sets, releases, credits };
}
