import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { aContract } from '../../contracts/testing/contract-row.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { migrate } from '../migrate.ts';
import { openFile, testFolder } from '../testing/test-database.ts';
import { MIGRATIONS } from './index.ts';

it('counts what the contracts that live take of their pool, and nothing else', async () => {
  const database = openFile(join(testFolder(), 'old.sqlite'));
  await migrate(database, systemClock, MIGRATIONS.slice(0, 2));
  const { renter_pubkey, provider_pubkey, offering_id, pool_id } = aContract();
  await database.write(async (trx) => {
    for (const pubkey of [renter_pubkey, provider_pubkey])
      await trx.insertInto('accounts').values({ pubkey, is_admin: 0, created_at: 0 }).execute();
    const provider = { pubkey: provider_pubkey, name: 'prov', auto_accept: 1, created_at: 0 };
    await trx.insertInto('providers').values(provider).execute();
    for (const id of [pool_id, 'another pool'])
      await trx
        .insertInto('pools')
        .values({ id, provider_pubkey, name: 'a pool', country: 'DE', created_at: 0 })
        .execute();
    await trx
      .insertInto('offerings')
      .values({
        ...{ id: offering_id, provider_pubkey, pool_id, title: '', description: '', country: 'DE' },
        ...{ cpu: 2, memory_mb: 4096, disk_gb: 40, operating_systems: '[]', currency: 'USD' },
        ...{ price_per_hour_e9s: 1n, setup_fee_e9s: 0n, min_hours: 1, max_hours: 9, places: 9 },
        ...{ places_taken: 2, created_at: 0 },
      })
      .execute();
    const rows = [{ id: 'one' }, { id: 'two', cpu: 3 }, { id: 'gone', place_held: 0 }];
    await trx
      .insertInto('contracts')
      .values(rows.map((change) => aContract(change)))
      .execute();
  });
  await migrate(database, systemClock, MIGRATIONS.slice(0, 3));
  const pools =
    await sql`select taken_cpu, taken_memory_mb, taken_disk_gb, taken_instances from pools order by id`.execute(
      database.read,
    );
  expect(pools.rows).toEqual([
    { taken_cpu: 5, taken_memory_mb: 8192, taken_disk_gb: 80, taken_instances: 2 },
    { taken_cpu: 0, taken_memory_mb: 0, taken_disk_gb: 0, taken_instances: 0 },
  ]);
});
