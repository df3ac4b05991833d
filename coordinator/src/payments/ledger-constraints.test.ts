/** The ledger's tables under attack, on both engines: nothing of it is kept, and each says why. */
import { PGlite } from '@electric-sql/pglite';
import BetterSqlite3 from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { makeMoney } from '@dc/shared/money/money';
import { ledgerTriggers } from '../database/migrations/0007-ledger-rules.ts';
import { openTestDatabase } from '../database/testing/test-database.ts';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { paymentReceived, refundDecided } from './ledger.ts';
import type { PostingSet } from './ledger.ts';
import { createLedgerStore } from './ledger-store.ts';
import { verifyLedger } from './ledger-verify.ts';
import { addSet, ATTACKS, CONTRACT, move, TABLES } from './testing/ledger-attacks.ts';
import { POSTGRES_LEDGER_TABLES } from './testing/postgres-ledger.ts';

/** A contract that was paid 100 and has 30 of it due as a refund. */
const usd = (amountE9s: bigint) => makeMoney(amountE9s, 'USD');
const BOOKED: readonly PostingSet[] = [
  paymentReceived({ cause: 'pay', contractId: CONTRACT, method: 'test', paid: usd(100n) }),
  refundDecided({ cause: 'refund', contractId: CONTRACT, amount: usd(30n) }),
];
const RIGHT = `begin; ${addSet('released_to_provider')} ${move(`escrow:${CONTRACT}`, 'provider_payable:p', 70)} commit;`;

/** The booked sets, and a connection of an attacker. */
async function openAttack() {
  const database = await openTestDatabase();
  const ledger = createLedgerStore({ clock: systemClock, random: systemRandom });
  for (const set of BOOKED) await database.write((trx) => ledger.append(trx, set));
  const handle = new BetterSqlite3(database.file);
  onTestFinished(() => void handle.close());
  return { database, handle };
}

describe('SQLite', () => {
  it.each(ATTACKS.map((attack) => [attack.name, attack] as const))('refuses %s', async (_name, attack) => {
    const { database, handle } = await openAttack();
    const all = () => TABLES.map((table) => handle.prepare(`select * from ${table}`).all());
    const before = all();
    // Somebody else's connection: nothing of what ours switches on, except foreign keys.
    handle.pragma('recursive_triggers = off');
    handle.pragma('foreign_keys = on');
    expect(() => handle.exec(`begin; ${attack.sql} commit;`)).toThrow(attack.reason);
    if (handle.inTransaction) handle.exec('rollback');
    expect(all()).toEqual(before);
    expect((await verifyLedger(database)).firstProblem).toBeNull();
  });

  it('refuses nothing that is right', async () => {
    const { database, handle } = await openAttack();
    handle.exec(RIGHT);
    expect((await verifyLedger(database)).firstProblem).toBeNull();
  });
});

describe('PostgreSQL', () => {
  let postgres: PGlite;
  const all = async (): Promise<unknown[]> => {
    const tables: unknown[] = [];
    for (const table of TABLES) tables.push((await postgres.query(`select * from ${table} order by 1`)).rows);
    return tables;
  };

  beforeAll(async () => {
    postgres = await PGlite.create();
    await postgres.exec([...POSTGRES_LEDGER_TABLES, ...ledgerTriggers('postgres')].join(';\n'));
    for (const [index, set] of BOOKED.entries())
      await postgres.transaction(async (trx) => {
        const id = `set ${String(index)}`;
        const { cause, kind, contractId, currency } = set;
        await trx.query('insert into ledger_sets values ($1, $2, $3, $4, $5, 1)', [
          id,
          cause,
          kind,
          contractId,
          currency,
        ]);
        for (const [line, { account, amountE9s }] of set.postings.entries())
          await trx.query('insert into ledger_postings values ($1, $2, $3, $4, $5)', [
            id,
            line,
            account,
            amountE9s,
            currency,
          ]);
        await trx.query('insert into ledger_seals values ($1)', [id]);
      });
  }, 30_000);
  afterAll(() => postgres.close());

  it.each(ATTACKS.filter(({ only }) => only === undefined).map((attack) => [attack.name, attack] as const))(
    'refuses %s',
    async (_name, attack) => {
      const before = await all();
      await expect(postgres.exec(`begin; ${attack.sql} commit;`)).rejects.toThrow(attack.reason);
      await postgres.exec('rollback');
      expect(await all()).toEqual(before);
    },
  );

  it.each(TABLES)('refuses to empty %s at once', async (table) => {
    await expect(postgres.exec(`truncate ${table} cascade`)).rejects.toThrow(/append only/);
  });

  it('refuses nothing that is right', async () => {
    await postgres.exec(RIGHT);
    const { rows } = await postgres.query(
      `select sum(amount_e9s)::text as left from ledger_postings where account = 'escrow:${CONTRACT}'`,
    );
    expect(rows).toEqual([{ left: '0' }]);
  });
});
