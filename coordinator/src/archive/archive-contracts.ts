/**
 * The archive: contracts that ended long ago keep what the law wants (books, documents, hashes of the evidence) and
 * lose what is personal; when the time of retention is over, that goes too. One transaction a contract, so that a crash
 * between two loses nothing, and what is done is not done again. docs/decisions/archive.md says what stays and why.
 */
import type { Context } from '../context.ts';
import { findContract } from '../contracts/contract-store.ts';
import type { Transaction } from '../database/database.ts';
import { nextTurn } from '../lib/system-clock.ts';
import { sha256Of } from '../invoices/document-store.ts';
import { moneyOfContract } from '../payments/ledger-store.ts';
import {
  composeArchive,
  dropPersonal,
  findArchived,
  forgetArchived,
  forgetDocuments,
  insertArchived,
  listRipe,
} from './archive-store.ts';

export const ARCHIVE_EVERY_MS = 3_600_000;
const BATCH = 50;
/** A run is bounded: what is left waits an hour. */
const RUN_MAX = 2_000;

export interface ArchiveRun {
  archived: number;
  forgotten: number;
}

/** Archives what is ripe, and forgets what nobody has to keep any more. Stops between two when aborted. */
export async function archiveContracts(context: Context, signal: AbortSignal): Promise<ArchiveRun> {
  const { afterMs } = context.config.archive;
  const run: ArchiveRun = { archived: 0, forgotten: 0 };
  while (run.archived < RUN_MAX && !signal.aborted) {
    const ripe = await listRipe(context.db.read, context.clock.now() - afterMs, BATCH);
    let done = 0;
    for (const id of ripe) {
      if (signal.aborted) break;
      if (await context.db.write((trx) => archiveOne(context, trx, id))) done += 1;
      await nextTurn();
    }
    run.archived += done;
    // Those whose books do not fit stay, and are said so: they must not be looked at for ever.
    if (ripe.length < BATCH || done === 0) break;
  }
  run.forgotten = await forget(context, signal);
  return run;
}

/** False where it is archived already, or money of it is still somewhere. Idempotent. */
async function archiveOne(context: Context, trx: Transaction, id: string): Promise<boolean> {
  const contract = await findContract(trx, id);
  if (contract?.ended_at == null || (await findArchived(trx, id)) !== null) return false;
  const { escrow, refundDue } = await moneyOfContract(trx, id, contract.currency);
  if (escrow.amountE9s !== 0n || refundDue.amountE9s !== 0n) {
    context.log.error({ contract: id }, 'a contract that ended long ago still holds money');
    return false;
  }
  const body = JSON.stringify(await composeArchive(trx, contract));
  await insertArchived(trx, {
    contract_id: id,
    ...{ renter_pubkey: contract.renter_pubkey, provider_pubkey: contract.provider_pubkey },
    ...{ ended_at: contract.ended_at, archived_at: context.clock.now() },
    delete_after_at: retainedUntil(contract.ended_at, context.config.archive.retentionYears),
    ...{ body, sha256: sha256Of(body) },
  });
  await dropPersonal(trx, id);
  return true;
}

/** Books are kept for whole years, counted from the end of the year (UTC) that they belong to. */
export function retainedUntil(at: number, years: number): number {
  return Date.UTC(new Date(at).getUTCFullYear() + 1 + years, 0);
}

async function forget({ db, clock, config }: Context, signal: AbortSignal): Promise<number> {
  const now = clock.now();
  const issuedBefore = Date.UTC(new Date(now).getUTCFullYear() - config.archive.retentionYears, 0);
  let forgotten = 0;
  const steps: ((trx: Transaction) => Promise<number>)[] = [
    (trx) => forgetArchived(trx, now, BATCH),
    (trx) => forgetDocuments(trx, { issuedBefore, now, limit: BATCH }),
  ];
  for (const step of steps)
    for (let count = BATCH; count === BATCH && !signal.aborted;) {
      count = await db.write(step);
      forgotten += count;
    }
  return forgotten;
}
