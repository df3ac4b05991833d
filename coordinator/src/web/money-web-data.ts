/** The pages' data that is about money: what waits for the operator, invoices, the wallet, the way back from a payment. */
import type { Context } from '../context.ts';
import { findProfile, listDocuments } from '../invoices/document-store.ts';
import { readInvoiceCursor, toInvoiceCursor, viewInvoice } from '../invoices/invoice-view.ts';
import { viewSpending } from '../invoices/spending.ts';
import { rowsNeedingAttention } from '../jobs/outbox.ts';
import { lookAtPaymentNow, type Payments } from '../payments/checkouts.ts';
import { listDisputes, listKeptEvents } from '../payments/payment-admin-view.ts';
import { listRequests } from '../payments/refund-gate-store.ts';
import { listFailingRefunds, viewRequest } from '../payments/refund-gate-view.ts';
import { findPayment } from '../payments/payment-store.ts';
import { topUpMethods, viewWallet } from '../payments/wallet/wallet-view.ts';
import { findProvider } from '../offerings/provider-store.ts';
import { monthBounds } from '../payments/monthly-report.ts';
import { listReleases, sumStatement } from '../payments/statement-store.ts';
import type { WebData } from './web-data.ts';

const STUCK_SHOWN = 100;
const INVOICES_PER_PAGE = 50;
const RELEASES_SHOWN = 100;

type MoneyData = Pick<
  WebData,
  'findAdmin' | 'findInvoices' | 'findStatement' | 'findWallet' | 'returnFromPayment'
>;

/** That of a running coordinator. */
export function moneyWebData(context: Context, payments: Payments): MoneyData {
  const { db, clock } = context;
  return {
    async findAdmin({ isAdmin }) {
      if (!isAdmin) return null;
      const disputes = await listDisputes(db.read);
      const events = await listKeptEvents(db.read);
      const waiting = await listRequests(db.read, { state: 'waiting', limit: STUCK_SHOWN });
      const failingRefunds = await listFailingRefunds(db.read, STUCK_SHOWN);
      const stuck = await rowsNeedingAttention(db.read, STUCK_SHOWN);
      return { disputes, events, refunds: waiting.map(viewRequest), failingRefunds, stuck };
    },
    async findInvoices({ account }, contractId, cursor) {
      const filter = { account, contractId: contractId ?? undefined, limit: INVOICES_PER_PAGE + 1 };
      const rows = await listDocuments(db.read, {
        ...filter,
        cursor: readInvoiceCursor(cursor ?? undefined),
      });
      const page = rows.slice(0, INVOICES_PER_PAGE);
      const last = page.at(-1);
      const row = await findProfile(db.read, account);
      return {
        invoices: page.map(viewInvoice),
        nextCursor: rows.length > page.length && last !== undefined ? toInvoiceCursor(last) : null,
        profile: row,
        spending: await viewSpending(db.read, account, clock.now()),
      };
    },
    async findStatement({ account, isAdmin }, provider, month) {
      const row = account === provider || isAdmin ? await findProvider(db.read, provider) : null;
      if (row === null) return null;
      const period = { provider, ...monthBounds(month) };
      const place = { before: Number.MAX_SAFE_INTEGER, limit: RELEASES_SHOWN };
      const totals = await sumStatement(db.read, period);
      const releases = await listReleases(db.read, period, place);
      return { ...period, name: row.name, month, totals, releases };
    },
    async findWallet(principal) {
      const methods = topUpMethods(payments);
      if (methods.length === 0) return null;
      return { ...(await viewWallet(db.read, principal.account)), methods };
    },
    async returnFromPayment(key) {
      await lookAtPaymentNow(context, payments, key);
      const payment = await findPayment(db.read, key);
      if (payment === null) return null;
      return payment.contract_id === null ? '/wallet' : `/contracts/${payment.contract_id}`;
    },
  };
}
