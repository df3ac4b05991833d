/** What the operator asks the database on the machine itself. Each returns the text to print. */
import { AppError } from '@dc/shared/errors';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { findKey } from '../accounts/account-store.ts';
import type { Database, Reader } from '../database/database.ts';
import { rowsNeedingAttention } from '../jobs/outbox.ts';
import { exportHead, exportSet, type ExportFormat } from '../payments/ledger-export.ts';
import { readLedger } from '../payments/ledger-page.ts';
import { verifyLedger } from '../payments/ledger-verify.ts';
import { listRequests } from '../payments/refund-gate-store.ts';
import { listFailingRefunds } from '../payments/refund-gate-view.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';

/** A text, and whether what it says is good. */
export interface AdminReport {
  text: string;
  isGood: boolean;
}

/** Recomputes the ledger, and judges again what was earned, from records that prove for `proofMs` each. */
export async function reportLedger(db: Database, proofMs: number): Promise<AdminReport> {
  const { sets, postings, firstProblem } = await verifyLedger(db, proofMs);
  const counted = `${String(sets)} sets, ${String(postings)} postings`;
  return firstProblem === null
    ? { text: `The ledger adds up: ${counted}.`, isGood: true }
    : { text: `The ledger does not add up (${counted}): ${firstProblem}`, isGood: false };
}

const EXPORT_PAGE_SETS = 500;

/** Prints the whole ledger in `format`, in the order in which it was booked: one moment of it, and little memory. */
export function exportLedger(
  db: Database,
  format: ExportFormat,
  print: (text: string) => void,
): Promise<void> {
  return db.snapshot(async (reader) => {
    print(exportHead(format));
    for (let afterId = ''; ;) {
      const page = await readLedger(reader, afterId, EXPORT_PAGE_SETS);
      const last = page.at(-1);
      if (last === undefined) return;
      for (const set of page) print(exportSet(set, format));
      afterId = last.id;
    }
  });
}

/** Makes the account of a key an admin; again is a success. Throws ACCOUNT_NOT_FOUND and KEY_REVOKED. */
export async function grantAdmin(db: Database, publicKey: string): Promise<AdminReport> {
  const account = await db.write(async (trx) => {
    const key = await findKey(trx, publicKey);
    if (key === null) throw new AppError('ACCOUNT_NOT_FOUND', `No account has the key ${publicKey}.`);
    if (key.revoked_at !== null) throw new AppError('KEY_REVOKED');
    await trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', key.account_pubkey).execute();
    return key.account_pubkey;
  });
  return { text: `The account ${account} is an admin from now on.`, isGood: true };
}

const TABLES = ['accounts', 'providers', 'pools', 'agents', 'offerings', 'contracts', 'records'] as const;
const STUCK_MAX = 20;

/** How many of each thing there are, and what waits for a person. */
export async function reportStats(reader: Reader): Promise<AdminReport> {
  const lines: string[] = [];
  for (const table of TABLES) {
    const { count } = await reader
      .selectFrom(table)
      .select((expression) => expression.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    lines.push(`${table.padEnd(12)} ${String(count)}`);
  }
  const states = await reader
    .selectFrom('contracts')
    .select(['state', (expression) => expression.fn.countAll<number>().as('count')])
    .groupBy('state')
    .orderBy('state')
    .execute();
  for (const { state, count } of states) lines.push(`  ${state.padEnd(10)} ${String(count)}`);
  for (const { id, provider_pubkey } of await listUnserved(reader))
    lines.push(`waits for an agent: contract ${id} of provider ${provider_pubkey}`);
  const stuck = await rowsNeedingAttention(reader, STUCK_MAX);
  for (const row of stuck)
    lines.push(`needs attention: ${row.topic} ${row.key}, ${String(row.attempts)} attempts`);
  const waiting = await listRequests(reader, { state: 'waiting', limit: STUCK_MAX });
  for (const { id, refund_key } of waiting)
    lines.push(`waits for approval: refund request ${id} (${refund_key})`);
  for (const { key, attempts } of await listFailingRefunds(reader, STUCK_MAX))
    lines.push(`does not leave: ${key}, ${String(attempts)} attempts`);
  const safeMode = await findSafeMode(reader);
  if (safeMode !== null)
    lines.push(
      `safe mode since ${toTimestamp(safeMode.entered_at)}: see dc-coordinator admin safe-mode status`,
    );
  return { text: lines.join('\n'), isGood: stuck.length === 0 && safeMode === null };
}

/** Paid orders of which it is known that nobody is there to take them. */
function listUnserved(reader: Reader): Promise<{ id: string; provider_pubkey: string }[]> {
  return reader
    .selectFrom('contracts')
    .select(['id', 'provider_pubkey'])
    .where('state', '=', 'accepted')
    .where('last_error', 'like', '%"OFFERING_UNSERVED"%')
    .orderBy('id')
    .limit(STUCK_MAX)
    .execute();
}
