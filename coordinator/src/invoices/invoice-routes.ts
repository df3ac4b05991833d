/** A renter's invoices, receipts and credit notes, as JSON, HTML and PDF; and who is billed. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import {
  BillingProfile,
  DocumentNumber,
  FoundBillingProfile,
  Invoice,
  InvoicesQuery,
  WholeInvoice,
} from '@dc/shared/wire/invoices';
import { closed, listOf } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import type { Reader } from '../database/database.ts';
import { accountOf, type Principal } from '../http/principal.ts';
import { readRoute, streamRoute, writeRoute, type Route } from '../http/route.ts';
import { fileOf, type FileFormat } from './document-files.ts';
import { findDocument, findProfile, listDocuments, type DocumentRow } from './document-store.ts';
import { readInvoiceCursor, toInvoiceCursor, viewInvoice, viewWholeInvoice } from './invoice-view.ts';
import { STYLE_HASH } from './render-html.ts';

const BASE = '/api/v1/invoices';
const Params = closed({ number: DocumentNumber });
const DEFAULT_LIMIT = 50;

export function invoiceRoutes(context: Context): Route[] {
  return [
    ...listRoutes(context),
    fileRoute(context, 'pdf', 'application/pdf'),
    fileRoute(context, 'html', 'text/html; charset=utf-8'),
    ...profileRoutes(context),
  ];
}

function listRoutes({ db }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: BASE,
      permission: 'account',
      summary:
        'The caller’s invoices, receipts and credit notes, newest first; of one contract where asked for.',
      schema: { query: InvoicesQuery, response: listOf(Invoice) },
      errors: ['REQUEST_INVALID'],
      async handle({ query, principal }) {
        const { limit = DEFAULT_LIMIT, contract_id: contractId } = query;
        const caller = accountOf(principal);
        const rows = await listDocuments(db.read, {
          // An admin looks at a contract's: whose it is does not matter then.
          account: caller.isAdmin && contractId !== undefined ? undefined : caller.account,
          ...{ contractId, cursor: readInvoiceCursor(query.cursor), limit: limit + 1 },
        });
        const page = rows.slice(0, limit);
        const last = page.at(-1);
        const next = rows.length > limit && last !== undefined ? toInvoiceCursor(last) : null;
        return { status: 200, body: { items: page.map(viewInvoice), next_cursor: next } };
      },
    }),
    readRoute({
      method: 'GET',
      url: `${BASE}/:number`,
      permission: 'account',
      summary: 'Everything that is on one: lines with the bookings and the evidence behind them.',
      schema: { params: Params, response: WholeInvoice },
      errors: ['INVOICE_NOT_FOUND'],
      handle: async ({ params, principal }) => ({
        status: 200,
        body: viewWholeInvoice(await visibleDocument(db.read, params.number, principal)),
      }),
    }),
  ];
}

function fileRoute(context: Context, format: FileFormat, produces: string): Route {
  return streamRoute({
    method: 'GET',
    url: `${BASE}/:number/${format}`,
    permission: 'account',
    summary: `One as ${format.toUpperCase()}: the same bytes whenever it is asked for.`,
    schema: { params: Params, response: Type.String() },
    errors: ['INVOICE_NOT_FOUND'],
    produces,
    async handle({ params, principal, raw }) {
      const row = await visibleDocument(context.db.read, params.number, principal);
      const bytes = await fileOf(context, row, format);
      await raw.reply
        .code(200)
        .headers({
          'content-type': produces,
          'content-disposition': `${format === 'pdf' ? 'attachment' : 'inline'}; filename="${row.number}.${format}"`,
          'content-security-policy': `default-src 'none'; style-src '${STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'`,
          'x-content-type-options': 'nosniff',
          'cache-control': 'private, no-store',
        })
        .send(Buffer.from(bytes));
    },
  });
}

function profileRoutes({ db, clock }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/billing-profile',
      permission: 'account',
      summary: 'What the caller wants on invoices; null where nothing was said yet.',
      schema: { response: FoundBillingProfile },
      errors: [],
      async handle({ principal }) {
        const row = await findProfile(db.read, accountOf(principal).account);
        if (row === null) return { status: 200, body: { profile: null } };
        const { name, address, country, vat_number } = row;
        return { status: 200, body: { profile: { name, address, country, vat_number } } };
      },
    }),
    writeRoute({
      method: 'PUT',
      url: '/api/v1/billing-profile',
      permission: 'account',
      summary: 'Says what stands on invoices from now on. Those that are issued do not change.',
      schema: { body: BillingProfile, response: BillingProfile },
      errors: [],
      idempotency: 'none', // The same again changes nothing.
      async handle({ body, principal }, trx) {
        const profile = { ...body, updated_at: clock.now() };
        await trx
          .insertInto('billing_profiles')
          .values({ account_pubkey: accountOf(principal).account, ...profile })
          .onConflict((conflict) => conflict.column('account_pubkey').doUpdateSet(profile))
          .execute();
        return { status: 200, body };
      },
    }),
  ];
}

/** The document, if it is the caller's or the caller an admin; another one's looks like one that is not there. */
async function visibleDocument(reader: Reader, number: string, principal: Principal): Promise<DocumentRow> {
  const { account, isAdmin } = accountOf(principal);
  const row = await findDocument(reader, number);
  if (row === null || (row.account_pubkey !== account && !isAdmin)) throw new AppError('INVOICE_NOT_FOUND');
  return row;
}
