/** What the movements of money that a renter sees are called on paper: one document for each, issued as it is booked. */
import { formatMoney } from '@dc/shared/money/money';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { ExtensionRow } from '../contracts/extension-store.ts';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import type { RefundsTable } from '../database/tables-refunds.ts';
import type { DraftLine } from './document.ts';
import { invoicesOf } from './document-store.ts';
import { issueDocument } from './issue-document.ts';

type Issuer = Pick<Context, 'clock' | 'config'>;

/** A document has room for so many gaps; what is more is one line, and in the contract's statement. */
const GAPS_MAX = 60;

const hours = (count: number): string => `${String(count)} ${count === 1 ? 'hour' : 'hours'}`;

/** A rental, or more time for one, was paid: an invoice. What was paid and bought nothing gets a receipt. */
export async function documentPayment(
  context: Issuer,
  trx: Transaction,
  paid: { contract: ContractRow; extension?: ExtensionRow; cause: string; amountE9s: bigint; taxE9s: bigint },
): Promise<void> {
  const { contract, extension, cause, amountE9s, taxE9s } = paid;
  const line = (text: string, netE9s: bigint): DraftLine => ({ text, netE9s, ledger: [cause], evidence: [] });
  const { offering_title: title, currency, setup_fee_e9s: feeE9s } = contract;
  const isDue = amountE9s === (extension?.price_e9s ?? contract.total_e9s);
  const rentE9s = extension === undefined ? amountE9s - feeE9s : amountE9s;
  const count = extension?.hours ?? contract.duration_hours;
  const rent = line(
    `${title}: ${hours(count)}${extension === undefined ? '' : ' more'} at ${formatMoney({ amountE9s: rentE9s / BigInt(count), currency })} an hour`,
    rentE9s,
  );
  const fee = extension === undefined && feeE9s > 0n ? [line(`${title}: set-up`, feeE9s)] : [];
  await issueDocument(context, trx, {
    kind: isDue ? 'invoice' : 'receipt',
    ...{ account: contract.renter_pubkey, contractId: contract.id, currency, taxE9s, refersTo: [] },
    paymentMethod: contract.payment_method,
    lines: isDue
      ? [rent, ...fee].filter(({ netE9s }) => netE9s > 0n)
      : [line(`${title}: payment received`, amountE9s)],
  });
}

/** Money was put into a wallet: a receipt. */
export async function documentTopUp(
  context: Issuer,
  trx: Transaction,
  topUp: {
    account: string;
    method: string;
    cause: string;
    amountE9s: bigint;
    currency: string;
    taxE9s: bigint;
  },
): Promise<void> {
  const { account, method, cause, amountE9s, currency, taxE9s } = topUp;
  await issueDocument(context, trx, {
    ...{ kind: 'receipt', account, contractId: null, currency, paymentMethod: method, taxE9s, refersTo: [] },
    lines: [{ text: 'Wallet top-up', netE9s: amountE9s, ledger: [cause], evidence: [] }],
  });
}

/** Use beyond the rent was taken from the wallet: an invoice. */
export async function documentUsage(
  context: Issuer,
  trx: Transaction,
  usage: {
    account: string;
    contractId: string;
    cause: string;
    amountE9s: bigint;
    currency: string;
    /** How much, and when. */
    text: string;
  },
): Promise<void> {
  const { account, contractId, cause, amountE9s, currency, text } = usage;
  await issueDocument(context, trx, {
    ...{ kind: 'invoice', account, contractId, currency, paymentMethod: 'wallet', taxE9s: 0n, refersTo: [] },
    lines: [{ text, netE9s: amountE9s, ledger: [cause], evidence: [] }],
  });
}

/** A contract's refund has left, for the card or the wallet: a credit note with the gaps that it pays for. */
export async function documentRefund(
  context: Issuer,
  trx: Transaction,
  {
    refund,
    contract,
    causes,
    taxE9s,
  }: { refund: RefundsTable; contract: ContractRow; causes: readonly string[]; taxE9s: bigint },
): Promise<void> {
  const { currency, id } = contract;
  const ledger = [refund.key, ...causes];
  // What went back by hand has a credit note of its own.
  const byHandE9s = refund.by_hand_e9s ?? 0n;
  if (causes.length === 0) return;
  const wholeCreditE9s = await creditPartOf(trx, refund);
  const wholeRestE9s = refund.amount_e9s - wholeCreditE9s;
  const restE9s = wholeRestE9s > byHandE9s ? wholeRestE9s - byHandE9s : 0n;
  const creditE9s = refund.amount_e9s - byHandE9s - restE9s;
  const rest: DraftLine = { text: reasonText(refund, contract), netE9s: -restE9s, ledger, evidence: [] };
  const gaps = creditE9s === 0n ? [] : await gapLines(trx, refund, { creditE9s, ledger });
  await issueDocument(context, trx, {
    ...{ kind: 'credit_note', account: contract.renter_pubkey, contractId: id, currency, taxE9s: -taxE9s },
    paymentMethod: contract.payment_method,
    refersTo: await invoicesOf(trx, id),
    lines: [...(restE9s === 0n ? [] : [rest]), ...gaps],
  });
}

/** Money went back at the payment provider without us: a credit note. */
export async function documentRefundByHand(
  context: Issuer,
  trx: Transaction,
  refund: {
    account: string;
    contractId: string | null;
    method: string;
    causes: readonly string[];
    amountE9s: bigint;
    currency: string;
  },
): Promise<void> {
  const { account, contractId, method, causes, amountE9s, currency } = refund;
  await issueDocument(context, trx, {
    ...{ kind: 'credit_note', account, contractId, currency, paymentMethod: method, taxE9s: 0n },
    refersTo: contractId === null ? [] : await invoicesOf(trx, contractId),
    lines: [
      { text: 'Refund made at the payment provider', netE9s: -amountE9s, ledger: causes, evidence: [] },
    ],
  });
}

const REASONS: Readonly<Record<string, string>> = {
  paid_twice: 'a payment that was made twice',
  too_late: 'a payment that came too late',
};

function reasonText(
  { reason }: RefundsTable,
  { offering_title: title, active_at: activeAt }: ContractRow,
): string {
  return `${title}: ${REASONS[reason] ?? (activeAt === null ? 'not delivered' : 'unused time')}`;
}

/** What of the refund had been credited for time without proof. */
async function creditPartOf(reader: Reader, { key, contract_id: id }: RefundsTable): Promise<bigint> {
  const row = await reader
    .selectFrom('ledger_sets as s')
    .innerJoin('ledger_postings as p', 'p.set_id', 's.id')
    .select('p.amount_e9s')
    .where('s.cause', '=', key)
    .where('p.account', '=', `renter_credit:${id}`)
    .executeTakeFirst();
  return row === undefined ? 0n : -row.amount_e9s;
}

/** A line for each gap, with the records before and after it. */
async function gapLines(
  reader: Reader,
  { key, contract_id: id, created_at: at }: RefundsTable,
  { creditE9s, ledger }: { creditE9s: bigint; ledger: readonly string[] },
): Promise<DraftLine[]> {
  const isAtEnd = key.endsWith(':end');
  const credits = await reader
    .selectFrom('credits')
    .selectAll()
    .where('contract_id', '=', id)
    .where('at', isAtEnd ? '<=' : '=', at)
    .orderBy('from_at')
    .limit(GAPS_MAX)
    .execute();
  const lines = credits
    .filter(({ amount_e9s: amountE9s }) => amountE9s > 0n)
    .map((credit): DraftLine => ({
      text: `Time ${credit.reason === 'maintenance' ? 'in maintenance' : 'without proof'}, ${toTimestamp(credit.from_at)} to ${toTimestamp(credit.to_at)}`,
      netE9s: -credit.amount_e9s,
      ledger,
      evidence: [credit.proof_before, credit.proof_after].filter((hash) => hash !== null),
    }));
  const leftE9s = creditE9s + lines.reduce((sum, { netE9s }) => sum + netE9s, 0n);
  // More gaps than there is room for; or a part was decided at another time.
  if (leftE9s > 0n)
    lines.push({
      text: 'More time without proof: see the statement',
      netE9s: -leftE9s,
      ledger,
      evidence: [],
    });
  if (leftE9s < 0n)
    return [{ text: 'Time without proof: see the statement', netE9s: -creditE9s, ledger, evidence: [] }];
  return lines;
}
