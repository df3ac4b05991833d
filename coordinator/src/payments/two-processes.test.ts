/** Two coordinator processes that cancel, refund, release and pay out the same contracts at the same time. */
import { fileURLToPath } from 'node:url';
import BetterSqlite3 from 'better-sqlite3';
import { expect, it, onTestFinished } from 'vitest';
import { tellLines } from '@dc/shared/testing/told-lines';
import { runProgram } from '../database/testing/run-program.ts';
import { openMarket, rentUntilActive } from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { accounts } from './ledger.ts';
import { balanceOf } from './ledger-store.ts';
import { verifyLedger } from './ledger-verify.ts';
import { openVendor } from './testing/vendor-file.ts';

const PROGRAM = fileURLToPath(new URL('./testing/money-program.ts', import.meta.url));
const CONTRACTS = 2_500;
const HOURLY = 10_000_000n;
const TIMEOUT_MS = 300_000;

/** Makes as many of a contract as asked for: the same rows under other ids. */
function multiply(file: string, contractId: string, copies: number): void {
  const db = new BetterSqlite3(file);
  db.defaultSafeIntegers(true);
  db.pragma('foreign_keys = on');
  const rowsOf = (table: string, column: string, id: string) =>
    db.prepare(`select * from ${table} where ${column} = ?`).raw().all(id) as unknown[][];
  const [set] = rowsOf('ledger_sets', 'contract_id', contractId);
  const setId = String(set?.[0]);
  const tables = [
    ['contracts', 'id', contractId],
    ['earnings', 'contract_id', contractId],
    ['proved_spans', 'contract_id', contractId],
    ['ledger_sets', 'id', setId],
    ['ledger_postings', 'set_id', setId],
    ['ledger_seals', 'set_id', setId],
  ].map(([table = '', column = '', id = '']) => ({ table, rows: rowsOf(table, column, id) }));
  const uuid = (kind: number, index: number): string =>
    `01999999-000${String(kind)}-7000-8000-${String(index).padStart(12, '0')}`;
  db.exec('begin');
  for (let index = 1; index <= copies; index += 1)
    for (const { table, rows } of tables)
      for (const row of rows) {
        const copy = row.map((value) =>
          typeof value === 'string'
            ? value.replaceAll(contractId, uuid(1, index)).replaceAll(setId, uuid(2, index))
            : value,
        );
        db.prepare(`insert into ${table} values (${copy.map(() => '?').join(', ')})`).run(...copy);
      }
  db.exec('commit');
  db.close();
}

it(
  `two processes that cancel, refund, release and pay out ${String(CONTRACTS)} contracts at once differ in nothing`,
  async ({ task }) => {
    const coordinator = await startTestCoordinator();
    const market = await openMarket({ coordinator });
    const { id } = await rentUntilActive(market);
    const { context, folder } = coordinator;
    await context.db.write((trx) => trx.updateTable('contracts').set({ place_held: 0 }).execute());
    multiply(context.config.databaseFile, id, CONTRACTS - 1);

    const programs = [runProgram(PROGRAM, [folder]), runProgram(PROGRAM, [folder])];
    const done = (await Promise.all(programs.map(({ finished }) => finished))).map(
      (text) => JSON.parse(text) as { cancelled: number; payouts: number; sends: number },
    );
    const sum = (what: 'cancelled' | 'payouts' | 'sends') => done.reduce((all, each) => all + each[what], 0);
    expect(sum('cancelled')).toBe(CONTRACTS);
    for (const { cancelled } of done) expect(cancelled).toBeGreaterThan(0);

    const vendor = openVendor(folder);
    onTestFinished(() => vendor.close());
    const books = [...vendor.books()];
    const refunds = books.filter(([key]) => key.startsWith('refund:'));
    const payouts = books.filter(([key]) => key.startsWith('payout:'));
    expect(refunds).toHaveLength(CONTRACTS);
    expect(new Set(refunds.map(([, amountE9s]) => amountE9s))).toEqual(new Set([7n * HOURLY]));
    expect(payouts).toHaveLength(sum('payouts'));
    const paidOut = payouts.reduce((all, [, amountE9s]) => all + amountE9s, 0n);
    expect(paidOut).toBe(3n * HOURLY * BigInt(CONTRACTS));
    const balance = async (account: string) => (await balanceOf(context.db.read, account, 'USD')).amountE9s;
    expect(await balance(accounts.processor('manual'))).toBe(paidOut);
    expect(await balance(accounts.processor('test'))).toBe(-paidOut);
    expect(await balance(accounts.providerPayable(market.provider.key.publicKey))).toBe(0n);
    expect((await verifyLedger(context.db, context.config.earning.proofMs)).firstProblem).toBeNull();
    tellLines(task, [
      `${String(CONTRACTS * 4)} contested steps by two processes: ${String(sum('cancelled'))} cancellations, ${String(refunds.length)} refunds, ${String(payouts.length)} payouts`,
    ]);
  },
  TIMEOUT_MS,
);
