/**
 * The ledger in the database: sets of postings go in, balances are summed out of them, nothing is ever changed. The
 * tables refuse what would break I1, whoever writes; this file turns their refusal into LEDGER_REFUSED.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import { makeMoney } from '@dc/shared/money/money';
import type { Money } from '@dc/shared/money/money';
import type { Random } from '@dc/shared/random';
import { sql } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import { isConstraintViolation } from '../database/sqlite-errors.ts';
import { accounts } from './ledger.ts';
import type { PostingSet } from './ledger.ts';

/** Where money is booked. */
export interface LedgerStore {
  /**
   * Books `set` in `trx`. A cause that was booked before changes nothing and is `already_posted`; when that was with
   * other postings, or the set would break a rule of the ledger, it throws LEDGER_REFUSED, and so must the job.
   */
  append(trx: Transaction, set: PostingSet): Promise<'posted' | 'already_posted'>;
  /** Books several at once, for less than one by one: all of them are new, or it throws LEDGER_REFUSED. */
  appendNew(trx: Transaction, sets: readonly PostingSet[]): Promise<void>;
}

/** Makes the store. */
export function createLedgerStore({ clock, random }: { clock: Clock; random: Random }): LedgerStore {
  const insert = async (trx: Transaction, sets: readonly PostingSet[]): Promise<void> => {
    const at = clock.now();
    try {
      await insertSets(
        trx,
        sets.map((set) => ({ ...set, id: newUuid(clock, random), at })),
      );
    } catch (error) {
      if (!isConstraintViolation(error) && !isOverflow(error)) throw error;
      const causes = sets.map(({ kind, cause }) => `${kind} for ${cause}`).join(', ');
      throw new AppError('LEDGER_REFUSED', `The ledger refused ${causes}.`, { cause: error });
    }
  };
  return {
    async append(trx, set) {
      if (await wasPosted(trx, set)) return 'already_posted';
      await insert(trx, [set]);
      return 'posted';
    },
    async appendNew(trx, sets) {
      if (sets.length > 0) await insert(trx, sets);
    },
  };
}

/** True where the sum of an account went past 64 bits: SQLite says so instead of wrapping. */
function isOverflow(error: unknown): boolean {
  return error instanceof Error && error.message === 'integer overflow';
}

/** The balance of an account: the sum of its postings, 0 where there are none. */
export async function balanceOf(reader: Reader, account: string, currency: string): Promise<Money> {
  const { balance_e9s } = await reader
    .selectFrom('ledger_postings')
    .select(sql<bigint>`coalesce(sum(amount_e9s), 0)`.as('balance_e9s'))
    .where('account', '=', account)
    .where('currency', '=', currency)
    .executeTakeFirstOrThrow();
  return makeMoney(balance_e9s, currency);
}

/** Where a contract's money is. `paid` = `released` + `credited` + `refunded` + `held` + `escrow`, always. */
export interface ContractMoney {
  paid: Money;
  /** To the provider and to the platform. */
  released: Money;
  /** The renter's, for time that was not proved; part of `refunded` once the rental has ended. */
  credited: Money;
  /** Decided, whether or not it has reached the renter. */
  refunded: Money;
  /** Of `refunded`, what the processor has not confirmed yet. */
  refundDue: Money;
  /** Held back from everybody by a dispute, or gone with it. */
  held: Money;
  escrow: Money;
}

const PAYING_KINDS: readonly string[] = ['payment_received', 'paid_from_wallet'];
const RELEASE_KINDS: readonly string[] = ['setup_fee_released', 'released_to_provider'];
const HOLDING_KINDS: readonly string[] = ['dispute_opened', 'dispute_won'];

/** Sums up a contract from its postings. All zero for a contract that nothing was paid for. */
export async function moneyOfContract(
  reader: Reader,
  contractId: string,
  currency: string,
): Promise<ContractMoney> {
  const rows = await reader
    .selectFrom('ledger_sets as s')
    .innerJoin('ledger_postings as p', 'p.set_id', 's.id')
    .select(['s.kind', 'p.account', sql<bigint>`sum(p.amount_e9s)`.as('sum_e9s')])
    .where('s.contract_id', '=', contractId)
    .where('s.currency', '=', currency)
    .groupBy(['s.kind', 'p.account'])
    .execute();
  const sumOf = (matches: (row: (typeof rows)[number]) => boolean): bigint =>
    rows.filter(matches).reduce((sum, row) => sum + row.sum_e9s, 0n);
  const money = (amountE9s: bigint): Money => makeMoney(amountE9s, currency);
  const escrow = accounts.escrow(contractId);
  const refundDue = accounts.refundDue(contractId);
  const ofEscrow = (kinds: readonly string[]): bigint =>
    sumOf((row) => row.account === escrow && kinds.includes(row.kind));
  return {
    paid: money(ofEscrow(PAYING_KINDS)),
    released: money(-ofEscrow(RELEASE_KINDS)),
    credited: money(sumOf((row) => row.account === accounts.renterCredit(contractId))),
    refunded: money(sumOf((row) => row.account === refundDue && row.kind === 'refund_decided')),
    refundDue: money(sumOf((row) => row.account === refundDue)),
    held: money(-ofEscrow(HOLDING_KINDS)),
    escrow: money(sumOf((row) => row.account === escrow)),
  };
}

/** True when the cause is booked with these very postings; throws when it is booked with others. */
async function wasPosted(trx: Transaction, set: PostingSet): Promise<boolean> {
  const booked = await trx
    .selectFrom('ledger_sets as s')
    .innerJoin('ledger_postings as p', 'p.set_id', 's.id')
    .select(['s.kind', 's.contract_id', 's.currency', 'p.account', 'p.amount_e9s'])
    .where('s.cause', '=', set.cause)
    .orderBy('p.line')
    .execute();
  if (booked.length === 0) return false;
  const isSame =
    booked.length === set.postings.length &&
    set.postings.every((posting, line) => {
      const row = booked[line];
      return (
        row?.kind === set.kind &&
        row.contract_id === set.contractId &&
        row.currency === set.currency &&
        row.account === posting.account &&
        row.amount_e9s === posting.amountE9s
      );
    });
  if (!isSame) throw new AppError('LEDGER_REFUSED', `${set.cause} was booked before, with other postings.`);
  return true;
}

async function insertSets(
  trx: Transaction,
  sets: readonly (PostingSet & { id: string; at: number })[],
): Promise<void> {
  await trx
    .insertInto('ledger_sets')
    .values(
      sets.map(({ id, cause, kind, contractId, currency, at }) => ({
        ...{ id, cause, kind, contract_id: contractId, currency, at },
      })),
    )
    .execute();
  const postings = sets.flatMap(({ id, currency, postings: ofSet }) =>
    ofSet.map(({ account, amountE9s }, index) => ({
      ...{ set_id: id, line: index + 1, account, amount_e9s: amountE9s, currency },
    })),
  );
  await trx.insertInto('ledger_postings').values(postings).execute();
  // The seals make the database check the whole sets; without them the transaction could not be committed.
  await trx
    .insertInto('ledger_seals')
    .values(sets.map(({ id }) => ({ set_id: id })))
    .execute();
}
