import { join } from 'node:path';
import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { aContract } from '../../contracts/testing/contract-row.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { migrate } from '../migrate.ts';
import { openFile, testFolder } from '../testing/test-database.ts';
import { MIGRATIONS } from './index.ts';

const BEFORE = MIGRATIONS.filter(({ name }) => name < '0005');

it('keeps what live contracts take, at the agent that they are bound to or one of their pool', async () => {
  const database = openFile(join(testFolder(), 'old.sqlite'));
  await migrate(database, systemClock, BEFORE);
  const { renter_pubkey, provider_pubkey, offering_id, pool_id } = aContract();
  await database.write(async (trx) => {
    for (const pubkey of [renter_pubkey, provider_pubkey])
      await trx.insertInto('accounts').values({ pubkey, is_admin: 0, created_at: 0 }).execute();
    const provider = { pubkey: provider_pubkey, name: 'prov', auto_accept: 1, created_at: 0 };
    await trx.insertInto('providers').values(provider).execute();
    for (const id of [pool_id, 'without agents'])
      await sql`insert into pools (id, provider_pubkey, name, country, created_at)
        values (${id}, ${provider_pubkey}, 'a pool', 'DE', 0)`.execute(trx);
    for (const agent of ['agent a', 'agent b'])
      await sql`insert into agents (public_key, provider_pubkey, pool_id, label, permissions, grant_jws, delegation_jws,
        created_at, last_heartbeat_at) values (${agent}, ${provider_pubkey}, ${pool_id}, '', '[]', ${agent}, ${agent}, 0, 7)`.execute(
        trx,
      );
    await sql`insert into offerings (id, provider_pubkey, pool_id, title, description, country, cpu, memory_mb, disk_gb,
      operating_systems, currency, price_per_hour_e9s, setup_fee_e9s, min_hours, max_hours, places, places_taken, created_at)
      values (${offering_id}, ${provider_pubkey}, ${pool_id}, '', '', 'DE', 2, 4096, 40, '[]', 'USD', 1, 0, 1, 9, 9, 2, 0)`.execute(
      trx,
    );
    const rows = [
      { id: 'bound', agent_key: 'agent b', provisioned_at: 5 },
      { id: 'open', cpu: 3, agent_key: null, provisioned_at: null },
      { id: 'gone', place_held: 0, agent_key: null },
      { id: 'nowhere', pool_id: 'without agents', agent_key: null },
    ];
    for (const change of rows) {
      const row: Record<string, unknown> = { ...aContract(change) };
      const known = await sql<{ name: string }>`select name from pragma_table_info('contracts')`.execute(trx);
      const columns = known.rows.map(({ name }) => name).filter((name) => row[name] !== undefined);
      await sql`insert into contracts (${sql.join(columns.map((name) => sql.ref(name)))})
        values (${sql.join(columns.map((name) => row[name]))})`.execute(trx);
    }
  });
  await migrate(database, systemClock, MIGRATIONS);
  const reserved = await database.read
    .selectFrom('reservations')
    .select(['contract_id', 'agent_key', 'cpu', 'included'])
    .orderBy('contract_id')
    .execute();
  expect(reserved).toEqual([
    { contract_id: 'bound', agent_key: 'agent b', cpu: 2, included: 1 },
    { contract_id: 'open', agent_key: 'agent a', cpu: 3, included: 0 },
  ]);
  const agents = await database.read.selectFrom('agents').select(['first_heartbeat_at', 'healthy']).execute();
  expect(agents).toEqual([
    { first_heartbeat_at: 7, healthy: 1 },
    { first_heartbeat_at: 7, healthy: 1 },
  ]);
});
