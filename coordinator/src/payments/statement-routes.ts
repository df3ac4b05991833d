/** Statements: of a provider's earnings, of a contract's money, and the ledger itself for admins. */
import { AppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import { closed, listOf, PublicKey, toTimestamp, Uuid } from '@dc/shared/wire/schema-parts';
import {
  ContractStatement,
  LedgerQuery,
  LedgerSet,
  Statement,
  StatementQuery,
  type RELEASE_KINDS,
} from '@dc/shared/wire/money';
import type { Context } from '../context.ts';
import { maySee } from '../contracts/contract-rules.ts';
import { findContract } from '../contracts/contract-store.ts';
import { accountOf } from '../http/principal.ts';
import { readRoute, type Route } from '../http/route.ts';
import { findProvider } from '../offerings/provider-store.ts';
import { listLedger } from './ledger-page.ts';
import { moneyOfContract } from './ledger-store.ts';
import { listContractLines, listReleases, sumStatement, type ReleaseRow } from './statement-store.ts';

const DEFAULT_LIMIT = 50;

export function statementRoutes(context: Context): Route[] {
  return [...providerStatement(context), ...contractStatement(context), ...ledgerPages(context)];
}

function providerStatement({ db }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/providers/:pubkey/statement',
      permission: ['provider', 'admin'],
      summary: 'What the provider earned, was paid and is owed, and every release of the period.',
      schema: { params: closed({ pubkey: PublicKey }), query: StatementQuery, response: Statement },
      errors: ['PROVIDER_NOT_FOUND', 'PERMISSION_DENIED', 'REQUEST_INVALID'],
      async handle({ params, query, principal }) {
        const caller = accountOf(principal);
        if (caller.account !== params.pubkey && !caller.isAdmin)
          throw new AppError('PERMISSION_DENIED', 'This is the statement of another provider.');
        if ((await findProvider(db.read, params.pubkey)) === null) throw new AppError('PROVIDER_NOT_FOUND');
        const limit = query.limit ?? DEFAULT_LIMIT;
        const period = {
          provider: params.pubkey,
          fromAt: query.from === undefined ? 0 : Date.parse(query.from),
          toAt: query.to === undefined ? Number.MAX_SAFE_INTEGER : Date.parse(query.to),
        };
        const totals = await sumStatement(db.read, period);
        const place = { before: readReleaseCursor(query.cursor), limit: limit + 1 };
        const rows = await listReleases(db.read, period, place);
        const page = rows.slice(0, limit);
        return {
          status: 200,
          body: {
            provider_pubkey: params.pubkey,
            from: query.from ?? null,
            to: query.to ?? null,
            totals: totals.map(({ currency, ...total }) => ({
              earned: toWire({ amountE9s: total.earnedE9s, currency }),
              release_count: total.releaseCount,
              paid_out: toWire({ amountE9s: total.paidOutE9s, currency }),
              in_flight: toWire({ amountE9s: total.inFlightE9s, currency }),
              payable: toWire({ amountE9s: total.payableE9s, currency }),
            })),
            items: page.map(viewRelease),
            next_cursor: rows.length > limit ? String(page.at(-1)?.seq) : null,
          },
        };
      },
    }),
  ];
}

function contractStatement({ db }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/contracts/:id/statement',
      permission: 'account',
      summary: 'Where the contract’s money is and for what, with the evidence of each line.',
      schema: { params: closed({ id: Uuid }), response: ContractStatement },
      errors: ['CONTRACT_NOT_FOUND'],
      async handle({ params, principal }) {
        const contract = await findContract(db.read, params.id);
        if (contract === null || !maySee(principal, contract)) throw new AppError('CONTRACT_NOT_FOUND');
        const { currency } = contract;
        const money = await moneyOfContract(db.read, contract.id, currency);
        const lines = await listContractLines(db.read, contract.id);
        return {
          status: 200,
          body: {
            contract_id: contract.id,
            paid: toWire(money.paid),
            released: toWire(money.released),
            credited: toWire(money.credited),
            refunded: toWire(money.refunded),
            held: toWire(money.held),
            escrow: toWire(money.escrow),
            releases: lines.releases.map(viewRelease),
            credits: lines.credits.map((line) => ({
              from: toTimestamp(line.from_at),
              to: toTimestamp(line.to_at),
              reason: line.reason as 'unproved' | 'maintenance',
              amount: toWire({ amountE9s: line.amount_e9s, currency }),
              proof_before: line.proof_before,
              proof_after: line.proof_after,
            })),
            refunds: lines.refunds.map(({ key, amount_e9s, created_at, confirmed_at }) => ({
              key,
              amount: toWire({ amountE9s: amount_e9s, currency }),
              at: toTimestamp(created_at),
              confirmed_at: confirmed_at === null ? null : toTimestamp(confirmed_at),
            })),
          },
        };
      },
    }),
  ];
}

function ledgerPages({ db }: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/api/v1/admin/ledger',
      permission: 'admin',
      summary: 'The sets of postings, newest first; of one contract or one account where asked for.',
      schema: { query: LedgerQuery, response: listOf(LedgerSet) },
      errors: [],
      async handle({ query }) {
        const limit = query.limit ?? DEFAULT_LIMIT;
        const sets = await listLedger(db.read, {
          contractId: query.contract_id,
          account: query.account,
          before: query.cursor,
          limit: limit + 1,
        });
        const page = sets.slice(0, limit);
        const next = sets.length > limit ? (page.at(-1)?.id ?? null) : null;
        return {
          status: 200,
          body: {
            items: page.map(({ id, at, cause, kind, contractId, currency, postings }) => ({
              ...{ id, cause, kind, contract_id: contractId, at: toTimestamp(at) },
              postings: postings.map(({ account, amountE9s }) => ({
                account,
                amount: toWire({ amountE9s, currency }),
              })),
            })),
            next_cursor: next,
          },
        };
      },
    }),
  ];
}

function readReleaseCursor(cursor: string | undefined): number {
  if (cursor === undefined) return Number.MAX_SAFE_INTEGER;
  if (/^[0-9]{1,15}$/.test(cursor)) return Number(cursor);
  throw new AppError('REQUEST_INVALID', 'The cursor is not one of this list.', {
    fields: [{ pointer: '/query/cursor', detail: 'must be the next_cursor of the page before' }],
  });
}

function viewRelease(row: ReleaseRow) {
  const time = (ms: number | null): string | null => (ms === null ? null : toTimestamp(ms));
  const { contract_id, first_proof, last_proof, payout_id, proved_ms } = row;
  return {
    ...{ contract_id, first_proof, last_proof, payout_id, proved_ms },
    number: row.seq,
    at: toTimestamp(row.at),
    kind: row.kind as (typeof RELEASE_KINDS)[number],
    amount: toWire({ amountE9s: row.amount_e9s, currency: row.currency }),
    from: time(row.from_at),
    to: time(row.to_at),
  };
}
