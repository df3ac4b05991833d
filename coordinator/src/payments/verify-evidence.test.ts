/** What `admin ledger verify` names where the books and the evidence differ, and that SQL and the pure rule agree. */
import BetterSqlite3 from 'better-sqlite3';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { testConfig } from '../testing/test-config.ts';
import {
  cancel,
  HOUR_MS,
  moneyOf,
  openMarket,
  pass,
  rentUntilActive,
  type Market,
} from '../testing/rental.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { openTestDatabase } from '../database/testing/test-database.ts';
import { verifyLedger } from './ledger-verify.ts';
import { findSpans, noteProof } from './proof-store.ts';
import { spansOf, type HealthWord } from './proof-spans.ts';
import { releaseEarnings } from './release-job.ts';

const PROOF_MS = 600_000;

/** A rental of three hours with a gap in the second, cancelled and settled; and somebody with the file. */
async function settledRental(): Promise<{ market: Market; id: string; handle: BetterSqlite3.Database }> {
  const earning = { releaseIntervalMs: HOUR_MS, proofMs: PROOF_MS, evidenceGraceMs: 24 * HOUR_MS };
  const coordinator = await startTestCoordinator({ config: { earning } });
  const market = await openMarket({ coordinator });
  const { id } = await rentUntilActive(market);
  for (const minutes of [5, 10, 15, 45, 50, 55, 60, 65, 70]) {
    const { clock } = coordinator;
    const startedAt = Date.parse('2026-11-20T12:00:00.000Z');
    await pass(coordinator, startedAt + minutes * 60_000 - clock.now());
    await market.agent.report('health', id, { data: { status: 'healthy' } });
  }
  await releaseEarnings(coordinator.context, new AbortController().signal);
  await cancel(market, id);
  const { databaseFile } = testConfig(coordinator.folder);
  const handle = new BetterSqlite3(databaseFile);
  onTestFinished(() => void handle.close());
  for (const name of handle.prepare(`select name from sqlite_master where type = 'trigger'`).pluck().all())
    handle.exec(`drop trigger ${String(name)}`);
  handle.pragma('foreign_keys = off');
  return { market, id, handle };
}

const problemOf = async ({ coordinator }: Market) =>
  (await verifyLedger(coordinator.context.db, PROOF_MS)).firstProblem;

describe('the books of a rental', () => {
  it('fit its evidence; each word that is changed in them or in it is named', async () => {
    const { market, id, handle } = await settledRental();
    expect((await moneyOf(market, id)).released).toBeGreaterThan(0n);
    expect(await problemOf(market)).toBeNull();
    const lies: [string, RegExp][] = [
      [`update releases set amount_e9s = amount_e9s + 1`, /The release .* and its postings say/],
      [`update releases set payout_id = 'stolen'`, /releases of the payout stolen, which does not exist/],
      [`update releases set payout_id = null, provider_pubkey = 'x'`, /The provider x in USD is owed 0, and/],
      [`update credits set amount_e9s = amount_e9s - 1`, /The credits of .* sum to/],
      [`update refunds set amount_e9s = 1`, /The refund .* is 1, and its postings say/],
      [`delete from refunds`, /is of no refund/],
      [`delete from credits`, /is of no credit/],
      [`update earnings set released_e9s = released_e9s + 9`, /says that \d+ was released for time/],
      [`update earnings set proved_ms = proved_ms + 3600000`, /\d+ released for \d+ ms, which are worth/],
      [`update records set compact = compact || 'A' where kind = 'health'`, /not the one whose hash is kept/],
      [`delete from records where kind = 'health'`, /ms were proved, and its records prove 600000 ms/],
      [
        `update credits set from_at = from_at - 120000, to_at = to_at - 120000`,
        /is for time that records prove/,
      ],
      [`update contracts set state = 'active'`, /^null$/],
    ];
    const restore = keepTables(handle);
    for (const [lie, problem] of lies) {
      handle.exec(lie);
      expect(String(await problemOf(market)), lie).toMatch(problem);
      restore();
    }
    expect(await problemOf(market)).toBeNull();
  });
});

/** Keeps what the tables hold; what it returns puts it back. */
function keepTables(handle: BetterSqlite3.Database): () => void {
  const tables = ['releases', 'credits', 'refunds', 'earnings', 'records', 'contracts'].map((name) => ({
    name,
    rows: handle.prepare(`select * from ${name}`).raw().all() as unknown[][],
  }));
  return () => {
    for (const { name, rows } of tables) {
      handle.exec(`delete from ${name}`);
      for (const row of rows)
        handle.prepare(`insert into ${name} values (${row.map(() => '?').join(', ')})`).run(...row);
    }
  };
}

describe('proved time', () => {
  it('grows in the database as the rule says, whatever an agent reports', async () => {
    const database = await openTestDatabase();
    const handle = new BetterSqlite3(database.file);
    onTestFinished(() => void handle.close());
    // Without the contract that it refers to, which takes no part here.
    handle.exec(`drop table proved_spans; create table proved_spans (
      contract_id, from_at, until_at, first_proof, last_proof, primary key (contract_id, from_at))`);
    const words = fc.array(fc.record({ at: fc.nat(400), isHealthy: fc.boolean() }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(words, async (said) => {
        handle.exec('delete from proved_spans');
        const spoken = said.map((word, index): HealthWord => ({ ...word, hash: `hash ${String(index)}` }));
        handle.exec(`insert into proved_spans values ('c', 50, 150, null, null)`);
        for (const word of spoken)
          await database.write((trx) => noteProof(trx, { ...word, contractId: 'c' }, 100));
        const found = await findSpans(database.read, [{ contractId: 'c', pastAt: -1 }]);
        expect(found.get('c')).toEqual(spansOf(50, spoken, 100));
      }),
      { numRuns: 200 },
    );
  });
});
