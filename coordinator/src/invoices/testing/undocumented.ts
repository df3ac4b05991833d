/** What a renter paid or got back, and has no paper for: for tests, after whatever life a contract had. */
import { sql } from 'kysely';
import type { Reader } from '../../database/database.ts';

/** The causes of such sets of postings. What a failed refund puts into the wallet is on the credit note already;
 * a cause without a colon is of a test that filled a wallet by itself. */
export async function undocumentedSets(reader: Reader): Promise<string[]> {
  const { rows } = await sql<{ cause: string }>`
    select cause from ledger_sets where kind in ('payment_received', 'paid_from_wallet', 'usage_charged',
        'wallet_topped_up', 'refund_confirmed', 'refunded_to_wallet', 'refunded_by_hand', 'wallet_refund_confirmed')
      and cause like '%:%' and cause not like '%:failed:wallet' and cause not in (select cause from document_sets)
    order by cause`.execute(reader);
  return rows.map(({ cause }) => cause);
}
