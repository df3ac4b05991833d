/**
 * Invoices, receipts and credit notes: pure. A document's body says everything that is on it; HTML and PDF are only
 * ways to show it. Amounts are nano-units; those of a credit note are below zero.
 */
import { allocate } from '@dc/shared/money/money';

export type DocumentKind = 'invoice' | 'receipt' | 'credit_note';

/** Who sells or buys, as it was on the day of issue. */
export interface Party {
  name: string;
  /** Lines; may be empty. */
  address: string;
  /** ISO 3166-1 alpha-2; empty where it is not known. */
  country: string;
  vat_number: string | null;
}

/** One line before tax is spread over it. */
export interface DraftLine {
  text: string;
  netE9s: bigint;
  /** The causes of the sets of postings that book it. */
  ledger: readonly string[];
  /** Hashes of records that prove it. */
  evidence: readonly string[];
}

/** What is to be issued. */
export interface Draft {
  kind: DocumentKind;
  account: string;
  contractId: string | null;
  currency: string;
  paymentMethod: string;
  lines: readonly DraftLine[];
  taxE9s: bigint;
  /** The numbers of the documents that it corrects. */
  refersTo: readonly string[];
}

export interface DocumentLine {
  text: string;
  net: string;
  tax: string;
  gross: string;
  ledger: readonly string[];
  evidence: readonly string[];
}

/** Everything that is on a document. Stored as JSON, never changed, and read for ever: only add what may be missing. */
export interface DocumentBody {
  number: string;
  kind: DocumentKind;
  issued_at: string;
  seller: Party;
  buyer: Party & { account: string };
  contract_id: string | null;
  payment_method: string;
  refers_to: readonly string[];
  lines: readonly DocumentLine[];
  currency: string;
  net: string;
  tax: string;
  gross: string;
  /** In hundredths of a percent of the net amount; computed from what was paid. */
  tax_rate_bp: number;
  notes: readonly string[];
}

/** What the document is issued with beside its draft. */
export interface Issue {
  number: string;
  issuedAt: string;
  seller: Party;
  buyer: DocumentBody['buyer'];
  /** What the seller says where no tax is charged. */
  taxNote: string | null;
}

/** Puts the body together. Throws a RangeError on a draft without a line, or whose lines sum to nothing. */
export function composeBody(draft: Draft, issue: Issue): DocumentBody {
  const netE9s = draft.lines.reduce((sum, line) => sum + line.netE9s, 0n);
  if (draft.lines.length === 0 || (netE9s === 0n && draft.taxE9s === 0n))
    throw new RangeError('a document is about something');
  const taxes = spreadTax(draft);
  const { seller, buyer } = issue;
  return {
    number: issue.number,
    kind: draft.kind,
    issued_at: issue.issuedAt,
    ...{ seller, buyer, contract_id: draft.contractId, payment_method: draft.paymentMethod },
    refers_to: draft.refersTo,
    lines: draft.lines.map(({ text, netE9s: lineE9s, ledger, evidence }, index) => {
      const taxE9s = taxes[index] ?? 0n;
      return {
        text,
        ...{ net: String(lineE9s), tax: String(taxE9s), gross: String(lineE9s + taxE9s) },
        ...{ ledger, evidence },
      };
    }),
    currency: draft.currency,
    ...{ net: String(netE9s), tax: String(draft.taxE9s), gross: String(netE9s + draft.taxE9s) },
    tax_rate_bp: rateOf(netE9s, draft.taxE9s),
    notes: notesOf(draft, issue),
  };
}

/** Each line's share of the tax, by its amount; not a unit is lost. */
function spreadTax({ lines, taxE9s, currency }: Draft): bigint[] {
  const weights: bigint[] = lines.map(({ netE9s }) => (netE9s < 0n ? -netE9s : netE9s));
  if (weights.every((weight) => weight <= 0n)) weights[0] = 1n;
  return allocate({ amountE9s: taxE9s, currency }, weights).map(({ amountE9s }) => amountE9s);
}

function rateOf(netE9s: bigint, taxE9s: bigint): number {
  if (netE9s === 0n) return 0;
  const [net, tax] = [netE9s < 0n ? -netE9s : netE9s, taxE9s < 0n ? -taxE9s : taxE9s];
  return Number((tax * 20_000n + net) / (2n * net));
}

const EU = new Set(
  'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'.split(' '),
);

/** Whether the buyer owes the tax: a business with a VAT number in another country of the Union than the seller's. */
export function isReverseCharge(seller: Party, buyer: Party): boolean {
  return (
    seller.vat_number !== null &&
    buyer.vat_number !== null &&
    seller.country !== buyer.country &&
    EU.has(seller.country) &&
    EU.has(buyer.country)
  );
}

function notesOf({ kind, taxE9s, paymentMethod }: Draft, { seller, buyer, taxNote }: Issue): string[] {
  const notes: string[] = [];
  if (kind === 'receipt') notes.push('This confirms a payment. It is no invoice for a service.');
  if (taxE9s === 0n && kind !== 'receipt') {
    if (isReverseCharge(seller, buyer))
      notes.push('Reverse charge: the recipient owes the VAT (Article 196 of Directive 2006/112/EC).');
    else if (taxNote !== null) notes.push(taxNote);
  }
  if (paymentMethod === 'test') notes.push('Test payment: no real money moved.');
  return notes;
}

const TITLES: Readonly<Record<DocumentKind, string>> = {
  invoice: 'Invoice',
  receipt: 'Receipt',
  credit_note: 'Credit note',
};

export const titleOf = ({ kind }: Pick<DocumentBody, 'kind'>): string => TITLES[kind];

/** `19 %`, `7.5 %`. */
export const rateText = ({ tax_rate_bp: rate }: DocumentBody): string => `${String(rate / 100)} %`;

const PREFIXES: Readonly<Record<DocumentKind, string>> = {
  invoice: 'INV',
  receipt: 'RCT',
  credit_note: 'CRN',
};

/**
 * The series that a document belongs to: one a kind and year (UTC). After each safe mode a new one begins: what was
 * numbered in the time that the database has forgotten is with renters, and no number may be theirs twice.
 */
export function seriesOf(kind: DocumentKind, issuedAt: number, safeModes: number): string {
  const year = new Date(issuedAt).toISOString().slice(0, 4);
  return `${PREFIXES[kind]}-${year}${safeModes === 0 ? '' : `-R${String(safeModes)}`}`;
}

/** `INV-2026-000042`. */
export const numberOf = (series: string, seq: number): string => `${series}-${String(seq).padStart(6, '0')}`;
