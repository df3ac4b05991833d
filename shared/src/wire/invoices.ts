/** Invoices, receipts and credit notes, and what renters say about billing and spending, on the wire. */
import { Type, type Static } from 'typebox';
import {
  closed,
  ListQuery,
  MoneySchema,
  nullable,
  plainLines,
  plainText,
  PublicKey,
  Timestamp,
  Uuid,
} from './schema-parts.ts';

export const DocumentNumber = Type.String({ pattern: '^[A-Z]{3}-[0-9]{4}(-R[0-9]{1,6})?-[0-9]{6,9}$' });

const VatNumber = Type.String({
  pattern: '^[A-Z]{2}[A-Z0-9+*]{2,13}$',
  description: 'With the prefix of its country; it is not looked up anywhere',
});

const Party = {
  name: Type.String(),
  address: Type.String({ description: 'Lines' }),
  country: Type.String({ description: 'ISO 3166 code; empty where it is not known' }),
  vat_number: nullable(Type.String()),
};

export const Invoice = closed({
  number: DocumentNumber,
  kind: Type.Enum(['invoice', 'receipt', 'credit_note']),
  issued_at: Timestamp,
  account: PublicKey,
  contract_id: nullable(Uuid),
  net: MoneySchema,
  tax: MoneySchema,
  gross: MoneySchema,
  sha256: Type.String({ description: 'Of what is on it; it does not change once it is issued' }),
});
export type WireInvoice = Static<typeof Invoice>;

export const WholeInvoice = closed({
  ...Invoice.properties,
  seller: closed(Party),
  buyer: closed(Party),
  payment_method: Type.String(),
  refers_to: Type.Array(DocumentNumber, { description: 'What a credit note corrects' }),
  tax_rate_bp: Type.Integer({ description: 'Hundredths of a percent of the net amount' }),
  lines: Type.Array(
    closed({
      text: Type.String(),
      net: MoneySchema,
      tax: MoneySchema,
      gross: MoneySchema,
      ledger: Type.Array(Type.String(), { description: 'The causes of the sets of postings that book it' }),
      evidence: Type.Array(Type.String(), { description: 'Hashes of the records that prove it' }),
    }),
  ),
  notes: Type.Array(Type.String()),
});

export const InvoicesQuery = closed({ ...ListQuery, contract_id: Type.Optional(Uuid) });

export const BillingProfile = closed({
  name: plainText({ minLength: 1, maxLength: 200 }),
  address: plainLines({ maxLength: 500, description: 'In lines' }),
  country: Type.String({ pattern: '^[A-Z]{2}$', description: 'ISO 3166 code' }),
  vat_number: nullable(VatNumber),
});
export type WireBillingProfile = Static<typeof BillingProfile>;
export const FoundBillingProfile = closed({ profile: nullable(BillingProfile) });

export const Spending = closed({
  month: Type.String({ description: 'The calendar month (UTC), such as 2026-11' }),
  spent: Type.Array(MoneySchema, {
    description:
      'For contracts, more time and use of this month, one a currency: what is paid or can still be paid, less what goes back',
  }),
  limits: Type.Array(
    closed({
      limit: MoneySchema,
      spent: MoneySchema,
      alerts: Type.Array(closed({ percent: Type.Enum([50, 80, 100]), at: Timestamp }), {
        description: 'Which shares of the limit were reached this month, and when',
      }),
    }),
  ),
});
export type WireSpending = Static<typeof Spending>;
export const SetSpendingLimits = closed({
  limits: Type.Array(MoneySchema, {
    maxItems: 20,
    description:
      'The most to spend in a calendar month (UTC), one a currency at most. They replace all others',
  }),
});
