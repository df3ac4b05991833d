/** Reports as CSV: a month of the ledger for admins, and a provider's releases. */
import { Type } from 'typebox';
import { once } from 'node:events';
import { AppError } from '@dc/shared/errors';
import { closed, PublicKey, Timestamp, toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { accountOf } from '../http/principal.ts';
import { streamRoute, type Route, type RouteInput } from '../http/route.ts';
import { findProvider } from '../offerings/provider-store.ts';
import { csvLine } from './csv.ts';
import { monthlyCsv } from './monthly-report.ts';
import { listReleases, type ReleaseRow, type StatementPeriod } from './statement-store.ts';

const PAGE = 500;

export function reportRoutes(context: Context): Route[] {
  return [monthlyRoute(context), statementRoute(context)];
}

function monthlyRoute({ db }: Context): Route {
  return streamRoute({
    method: 'GET',
    url: '/api/v1/admin/reports/monthly.csv',
    permission: 'admin',
    summary: 'A month of the ledger as CSV: what accounts held before, what moved, what they hold after.',
    schema: {
      query: closed({ month: Type.String({ description: 'Such as 2026-11 (UTC)' }) }),
      response: Type.String(),
    },
    errors: ['REQUEST_INVALID'],
    produces: 'text/csv; charset=utf-8',
    async handle({ query: { month }, raw }) {
      const text = await db.snapshot((reader) => monthlyCsv(reader, month));
      await raw.reply
        .code(200)
        .headers(csvHeaders(`ledger-${month}.csv`))
        .send(text);
    },
  });
}

function statementRoute(context: Context): Route {
  return streamRoute({
    method: 'GET',
    url: '/api/v1/providers/:pubkey/statement.csv',
    permission: ['provider', 'admin'],
    summary:
      'Every release to the provider in the period as CSV, newest first, with the records that prove it.',
    schema: {
      params: closed({ pubkey: PublicKey }),
      query: closed({ from: Type.Optional(Timestamp), to: Type.Optional(Timestamp) }),
      response: Type.String(),
    },
    errors: ['PROVIDER_NOT_FOUND', 'PERMISSION_DENIED'],
    produces: 'text/csv; charset=utf-8',
    async handle(input) {
      const { params, query, principal } = input;
      const caller = accountOf(principal);
      if (caller.account !== params.pubkey && !caller.isAdmin)
        throw new AppError('PERMISSION_DENIED', 'This is the statement of another provider.');
      if ((await findProvider(context.db.read, params.pubkey)) === null)
        throw new AppError('PROVIDER_NOT_FOUND');
      await streamStatement(context, input, {
        provider: params.pubkey,
        fromAt: query.from === undefined ? 0 : Date.parse(query.from),
        toAt: query.to === undefined ? Number.MAX_SAFE_INTEGER : Date.parse(query.to),
      });
    },
  });
}

const csvHeaders = (name: string): Record<string, string> => ({
  'content-type': 'text/csv; charset=utf-8',
  'content-disposition': `attachment; filename="${name}"`,
  'cache-control': 'private, no-store',
  'x-content-type-options': 'nosniff',
});

const COLUMNS = [
  ...['number', 'at', 'contract_id', 'kind', 'amount_e9s', 'currency', 'from', 'to', 'proved_ms'],
  ...['first_proof', 'last_proof', 'payout_id'],
];

/** Sends it page by page; memory stays at one, and slow readers are waited for. */
async function streamStatement(
  { db }: Context,
  { raw }: Pick<RouteInput, 'raw'>,
  period: StatementPeriod,
): Promise<void> {
  const { reply } = raw;
  reply.hijack();
  const output = reply.raw;
  const headers = reply.getHeaders() as Record<string, string>;
  output.writeHead(200, { ...headers, ...csvHeaders(`statement-${period.provider.slice(0, 16)}.csv`) });
  output.write(csvLine(COLUMNS));
  for (let before = Number.MAX_SAFE_INTEGER; ;) {
    const rows = await listReleases(db.read, period, { before, limit: PAGE });
    const last = rows.at(-1);
    if (last === undefined || output.destroyed) break;
    before = last.seq;
    if (!output.write(rows.map(toLine).join('')))
      await Promise.race([once(output, 'drain'), once(output, 'close')]);
  }
  output.end();
}

function toLine(row: ReleaseRow): string {
  const time = (ms: number | null): string | null => (ms === null ? null : toTimestamp(ms));
  return csvLine([
    ...[row.seq, time(row.at), row.contract_id, row.kind, row.amount_e9s, row.currency],
    ...[time(row.from_at), time(row.to_at), row.proved_ms, row.first_proof, row.last_proof, row.payout_id],
  ]);
}
