/** A wallet as its owner sees it. */
import { toWire } from '@dc/shared/money/money';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireTopUp, WireWallet } from '@dc/shared/wire/wallet';
import type { Reader } from '../../database/database.ts';
import { keyOfTopUp } from '../payment-asks.ts';
import type { PaymentProvider } from '../payment-provider.ts';
import type { PaymentRow } from '../payment-store.ts';
import { walletBalances } from './wallet-store.ts';

const TOP_UPS_SHOWN = 50;

/** With what a wallet can be topped up. */
export function topUpMethods(payments: ReadonlyMap<string, PaymentProvider>): string[] {
  return [...payments.values()]
    .filter(({ method, online }) => method === 'test' || online?.capabilities.topsUp === true)
    .map(({ method }) => method);
}

/** What the account's wallet holds, and its top-ups. */
export async function viewWallet(reader: Reader, account: string): Promise<WireWallet> {
  const rows = await reader
    .selectFrom('payments')
    .selectAll()
    .where('account_pubkey', '=', account)
    .where('contract_id', 'is', null)
    .orderBy('created_at', 'desc')
    .limit(TOP_UPS_SHOWN)
    .execute();
  const balances = await walletBalances(reader, account);
  return { balances: balances.map(toWire), top_ups: (rows as PaymentRow[]).map(viewTopUp) };
}

const STATUS: Readonly<Record<PaymentRow['state'], WireTopUp['payment']['status']>> = {
  asked: 'pending',
  open: 'pending',
  processing: 'processing',
  authorised: 'processing',
  paid: 'succeeded',
  failed: 'failed',
  closed: 'failed',
  voided: 'failed',
};

/** One top-up. */
export function viewTopUp(row: PaymentRow): WireTopUp {
  const { amount_e9s: amountE9s, currency, method, state } = row;
  const isPayable = state === 'open' || state === 'asked';
  return {
    id: row.key.slice(keyOfTopUp('').length),
    amount: toWire({ amountE9s, currency }),
    payment: { method, status: STATUS[state], checkout_url: isPayable ? row.checkout_url : null },
    created_at: toTimestamp(row.created_at),
  };
}
