import { beforeEach, describe, expect, it } from 'vitest';
import { expectStatus, makeAccount } from '../testing/people.ts';
import {
  cancel,
  destroyInstance,
  HOUR_MS,
  openMarket,
  pass,
  rentUntilActive,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import { csvLine } from './csv.ts';
import { monthBounds } from './monthly-report.ts';

let market: Market;
beforeEach(async () => {
  market = await openMarket();
});

type Row = Record<string, string>;

function parse(text: string): Row[] {
  const [head = '', ...lines] = text.trim().split('\n');
  const names = head.split(',');
  return lines.map((line) =>
    Object.fromEntries(line.split(',').map((field, index) => [names[index] ?? '', field])),
  );
}

/** A rental of ten hours that was cancelled after four. */
async function rental(): Promise<string> {
  const { id } = await rentUntilActive(market);
  await pass(market.coordinator, 4 * HOUR_MS - 1000);
  await cancel(market, id);
  await destroyInstance(market, id);
  await settledMoney(market, id);
  return id;
}

async function monthly(month: string): Promise<Row[]> {
  const key = market.renter;
  await market.coordinator.context.db.write((trx) =>
    trx.updateTable('accounts').set({ is_admin: 1 }).where('pubkey', '=', key.publicKey).execute(),
  );
  const path = `/admin/reports/monthly.csv?month=${month}`;
  const answer = await market.coordinator.client.get(path, { key });
  expectStatus(answer, 200);
  expect(answer.headers['content-type']).toBe('text/csv; charset=utf-8');
  return parse(answer.text);
}

const sumOf = (rows: readonly Row[]): bigint =>
  rows.reduce((sum, row) => sum + BigInt(row['amount_e9s'] ?? '0'), 0n);

describe('the monthly report', () => {
  it('adds up to the ledger: opening and movements are the closing, and every month begins as the last one ended', async () => {
    const first = new Date(market.coordinator.clock.now()).toISOString().slice(0, 7);
    await rental();
    await pass(market.coordinator, 31 * 24 * HOUR_MS);
    await market.agent.beat();
    await rental();
    const second = new Date(market.coordinator.clock.now()).toISOString().slice(0, 7);
    expect(second > first).toBe(true);
    const reports = [await monthly(first), await monthly(second)];
    for (const rows of reports) {
      for (const section of ['opening', 'movement', 'closing'])
        expect(sumOf(rows.filter((row) => row['section'] === section))).toBe(0n);
      for (const account of new Set(rows.map((row) => row['account']))) {
        const own = rows.filter((row) => row['account'] === account);
        const of = (section: string) => sumOf(own.filter((row) => row['section'] === section));
        expect(of('opening') + of('movement')).toBe(of('closing'));
      }
    }
    const [before = [], after = []] = reports;
    for (const row of before.filter(({ section }) => section === 'closing'))
      expect(after).toContainEqual({ ...row, section: 'opening', month: second });
    // And the closing is what the ledger itself sums to.
    const held = await market.coordinator.context.db.read
      .selectFrom('ledger_postings')
      .select('amount_e9s')
      .where('account', 'like', 'provider_payable:%')
      .execute();
    const closing = after.filter(
      ({ section, account }) => section === 'closing' && account === 'provider_payable',
    );
    expect(sumOf(closing)).toBe(held.reduce((sum, row) => sum + row.amount_e9s, 0n));
    expect(closing[0]?.['amount']).toBe('0.080000000');
  });

  it('takes a month and nothing else, and only admins get it', async () => {
    const { client } = market.coordinator;
    expect(
      (await client.get('/admin/reports/monthly.csv?month=2026-11', { key: market.renter })).status,
    ).toBe(403);
    await monthly('2026-11');
    for (const month of ['2026-13', '2026-00', '', 'x', '2026-1', "2026-11'--"])
      expect(
        (
          await client.get(`/admin/reports/monthly.csv?month=${encodeURIComponent(month)}`, {
            key: market.renter,
          })
        ).status,
      ).toBe(400);
    expect(await monthly('1999-01')).toEqual([]);
    expect(monthBounds('2026-12')).toEqual({ fromAt: Date.UTC(2026, 11), toAt: Date.UTC(2027, 0) });
  });
});

it('a provider’s releases come as CSV, and sum to what it earned', async () => {
  const id = await rental();
  const { client } = market.coordinator;
  const { key } = market.provider;
  const path = `/providers/${key.publicKey}/statement.csv`;
  const answer = await client.get(path, { key });
  const rows = parse(answer.text);
  expect(sumOf(rows)).toBe(40_000_000n);
  for (const row of rows) expect(row).toMatchObject({ contract_id: id, kind: 'time', currency: 'USD' });
  const from = new Date(market.coordinator.clock.now() + 1).toISOString();
  expect(parse((await client.get(`${path}?from=${from}`, { key })).text)).toEqual([]);
  const other = await makeAccount(market.coordinator, 'other');
  expect((await client.get(path, { key: other })).status).toBe(403);
  expect((await client.get(path)).status).toBe(401);
});

it('a field that a spreadsheet would run is none any more', () => {
  expect(csvLine(['=1+1', '-x', -5n, 'a"b', 'a,b', null])).toBe(`'=1+1,'-x,-5,"a""b","a,b",\n`);
});
