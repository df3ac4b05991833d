/**
 * What may go on in a safe mode, decided once for everything that moves: jobs are held unless they are named here, and
 * of money only what comes in is booked. What is built later is held by default.
 */
import type { LedgerStore } from '../payments/ledger-store.ts';
import type { Database } from '../database/database.ts';
import { assertActing } from './safe-mode.ts';

/** Move nothing: what nobody can ask for any more is forgotten, and sources are asked what tokens cost. */
const HARMLESS_JOBS: readonly string[] = ['every:housekeeping', 'every:mark', 'every:rates'];

/** Throws COORDINATOR_SAFE_MODE before a job that must not run now. For the job runner. */
export const jobGuard =
  ({ read }: Pick<Database, 'read'>) =>
  async (topic: string): Promise<void> => {
    if (!HARMLESS_JOBS.includes(topic)) await assertActing(read);
  };

/** The ledger, taking nothing but payments in a safe mode: what was paid is a fact, everything else a decision. */
export function guardLedger(ledger: LedgerStore): LedgerStore {
  return {
    async append(trx, set) {
      if (set.kind !== 'payment_received') await assertActing(trx);
      return ledger.append(trx, set);
    },
    async appendNew(trx, sets) {
      if (sets.some(({ kind }) => kind !== 'payment_received')) await assertActing(trx);
      await ledger.appendNew(trx, sets);
    },
  };
}
