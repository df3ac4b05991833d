import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { aContract } from '../../contracts/testing/contract-row.ts';
import { systemClock } from '../../lib/system-clock.ts';
import type { Database, Transaction } from '../database.ts';
import { migrate } from '../migrate.ts';
import { openFile, testFolder } from '../testing/test-database.ts';
import { MIGRATIONS } from './index.ts';

/** The rows that releases refer to: a contract, and a set of postings for each cause. */
async function insertParents(trx: Transaction, causes: readonly string[]): Promise<void> {
  const contract = aContract();
  const { renter_pubkey, provider_pubkey, offering_id, pool_id } = contract;
  for (const pubkey of [renter_pubkey, provider_pubkey])
    await trx.insertInto('accounts').values({ pubkey, is_admin: 0, created_at: 0 }).execute();
  const provider = { pubkey: provider_pubkey, name: 'prov', auto_accept: 1, created_at: 0 };
  await trx.insertInto('providers').values(provider).execute();
  await sql`insert into pools (id, provider_pubkey, name, country, created_at)
    values (${pool_id}, ${provider_pubkey}, 'a pool', 'DE', 0)`.execute(trx);
  await sql`insert into offerings (id, provider_pubkey, pool_id, title, description, country, cpu, memory_mb, disk_gb,
    operating_systems, currency, price_per_hour_e9s, setup_fee_e9s, min_hours, max_hours, places, places_taken, created_at)
    values (${offering_id}, ${provider_pubkey}, ${pool_id}, '', '', 'DE', 2, 4096, 40, '[]', 'USD', 1, 0, 1, 9, 9, 2, 0)`.execute(
    trx,
  );
  await trx
    .insertInto('contracts')
    .values({ ...contract, agent_key: null })
    .execute();
  for (const cause of causes) {
    const set = { id: cause, cause, kind: 'x', contract_id: contract.id, currency: 'USD', at: 1 };
    await trx.insertInto('ledger_sets').values(set).execute();
    for (const [line, amount_e9s] of [-5n, 5n].entries())
      await trx
        .insertInto('ledger_postings')
        .values({
          ...{ set_id: cause, line, currency: 'USD', amount_e9s },
          account: `processor:p${String(line)}`,
        })
        .execute();
    await trx.insertInto('ledger_seals').values({ set_id: cause }).execute();
  }
}

const insertRelease = (database: Database, cause: string, kind: string) =>
  database.write((trx) =>
    trx
      .insertInto('releases')
      .values({
        ...{
          cause,
          contract_id: aContract().id,
          provider_pubkey: 'p',
          currency: 'USD',
          amount_e9s: 5n,
          kind,
        },
        ...{ from_at: null, to_at: null, proved_ms: 0, first_proof: null, last_proof: null, at: 7 },
        payout_id: null,
      })
      .execute(),
  );
const releasesOf = (database: Database) =>
  database.read.selectFrom('releases').selectAll().orderBy('seq').execute();

it('keeps every release under its number, gives no number twice, and takes those for use', async () => {
  const database = openFile(join(testFolder(), 'old.sqlite'));
  const before = MIGRATIONS.filter(({ name }) => name < '0009');
  await migrate(database, systemClock, before);
  await database.write((trx) => insertParents(trx, ['one', 'two', 'three']));
  await insertRelease(database, 'one', 'time');
  await insertRelease(database, 'two', 'setup_fee');
  await expect(insertRelease(database, 'three', 'usage')).rejects.toThrow('CHECK');
  const old = await releasesOf(database);
  expect(old).toHaveLength(2);

  await migrate(database, systemClock, MIGRATIONS);
  expect(await releasesOf(database)).toEqual(old);
  await database.write((trx) => trx.deleteFrom('releases').where('cause', '=', 'two').execute());
  await insertRelease(database, 'three', 'usage');
  expect((await releasesOf(database)).map(({ seq }) => seq)).toEqual([1, 3]);
  await expect(insertRelease(database, 'one', 'time')).rejects.toThrow('UNIQUE');
});
