/** Documents on the wire. */
import { AppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import type { Static } from 'typebox';
import type { WholeInvoice, WireInvoice } from '@dc/shared/wire/invoices';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { bodyOf, type DocumentCursor, type DocumentRow } from './document-store.ts';

/** What a list says of a document. */
export function viewInvoice(row: DocumentRow): WireInvoice {
  const money = (amountE9s: bigint) => toWire({ amountE9s, currency: row.currency });
  return {
    number: row.number,
    kind: row.kind as WireInvoice['kind'],
    issued_at: toTimestamp(row.issued_at),
    ...{ account: row.account_pubkey, contract_id: row.contract_id, sha256: row.sha256 },
    ...{ net: money(row.net_e9s), tax: money(row.tax_e9s), gross: money(row.gross_e9s) },
  };
}

/** Everything that is on it. */
export function viewWholeInvoice(row: DocumentRow): Static<typeof WholeInvoice> {
  const { seller, buyer, payment_method, refers_to, tax_rate_bp, lines, notes, currency } = bodyOf(row);
  const money = (amount_e9s: string) => ({ amount_e9s, currency });
  const { name, address, country, vat_number } = buyer;
  return {
    ...viewInvoice(row),
    ...{ seller, buyer: { name, address, country, vat_number }, payment_method, tax_rate_bp },
    ...{ refers_to: [...refers_to], notes: [...notes] },
    lines: lines.map(({ text, net, tax, gross, ledger, evidence }) => ({
      ...{ text, net: money(net), tax: money(tax), gross: money(gross) },
      ...{ ledger: [...ledger], evidence: [...evidence] },
    })),
  };
}

export const toInvoiceCursor = ({ issued_at, number }: DocumentRow): string =>
  `${String(issued_at)}~${number}`;

/** Throws REQUEST_INVALID for what is no cursor of these lists. */
export function readInvoiceCursor(cursor: string | undefined): DocumentCursor | undefined {
  if (cursor === undefined) return undefined;
  const [, issuedAt, number] = /^([0-9]{1,15})~([A-Z0-9-]{1,40})$/.exec(cursor) ?? [];
  if (issuedAt !== undefined && number !== undefined) return { issuedAt: Number(issuedAt), number };
  throw new AppError('REQUEST_INVALID', 'The cursor is not one of this list.', {
    fields: [{ pointer: '/query/cursor', detail: 'must be the next_cursor of the page before' }],
  });
}
