/** The SQL of the archive: which contracts are ripe, what is kept of them, and what is taken away. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { toWire } from '@dc/shared/money/money';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireArchivedContract } from '@dc/shared/wire/archive';
import type { ContractRow } from '../contracts/contract-store.ts';
import type { Reader, Transaction } from '../database/database.ts';
import type { ArchivedContractsTable } from '../database/tables-archive.ts';

export type ArchiveBody = WireArchivedContract['contract'];

/**
 * Contracts that ended before `endedBefore` and of which nothing is open: instance gone, money given out, refunds
 * confirmed, disputes closed, evidence judged, use paid for. Longest ended first.
 */
export async function listRipe(reader: Reader, endedBefore: number, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select c.id from contracts c
    where c.ended_at < ${endedBefore} and c.ended_at is not null and c.ssh_public_key <> ''
      and c.release in ('none', 'released') and c.place_held = 0 and c.payment_state <> 'disputed'
      and not exists (select 1 from refunds r where r.contract_id = c.id and r.confirmed_at is null)
      and not exists (select 1 from disputes d where d.contract_id = c.id and d.closed_at is null)
      and not exists (select 1 from earnings e where e.contract_id = c.id and e.due_at is not null)
      and not exists (select 1 from usage_charges u where u.contract_id = c.id and u.paid_at is null)
      and not exists (select 1 from work w where w.contract_id = c.id and w.state in ('open', 'leased'))
      and not exists (select 1 from payments p where p.contract_id = c.id
        and p.state in ('asked', 'open', 'processing', 'authorised'))
    order by c.ended_at limit ${limit}`.execute(reader);
  return rows.map(({ id }) => id);
}

/** Everything that is kept: terms, states and times; what was booked and invoiced; the hashes of the evidence. */
export async function composeArchive(reader: Reader, contract: ContractRow): Promise<ArchiveBody> {
  const { id, currency } = contract;
  const money = (amountE9s: bigint) => toWire({ amountE9s, currency });
  const time = (at: number | null): string | null => (at === null ? null : toTimestamp(at));
  const of = <T>(query: { execute(): Promise<T[]> }): Promise<T[]> => query.execute();
  const history = await of(
    reader
      .selectFrom('contract_history')
      .select(['at', 'from_state', 'to_state', 'event', 'actor'])
      .where('contract_id', '=', id)
      .orderBy('version'),
  );
  const sets = await of(
    reader
      .selectFrom('ledger_sets')
      .select(['cause', 'kind', 'at'])
      .where('contract_id', '=', id)
      .orderBy('id'),
  );
  const documents = await of(
    reader
      .selectFrom('documents')
      .select(['number', 'kind', 'sha256'])
      .where('contract_id', '=', id)
      .orderBy('issued_at')
      .orderBy('number'),
  );
  return {
    id,
    ...{ offering_id: contract.offering_id, offering_title: contract.offering_title },
    ...{ renter_pubkey: contract.renter_pubkey, provider_pubkey: contract.provider_pubkey },
    ...{
      state: contract.state,
      payment_method: contract.payment_method,
      payment_status: contract.payment_state,
    },
    duration_hours: contract.duration_hours,
    ...{ total: money(contract.total_e9s), setup_fee: money(contract.setup_fee_e9s) },
    created_at: toTimestamp(contract.created_at),
    ...{
      paid_at: time(contract.paid_at),
      active_at: time(contract.active_at),
      ended_at: time(contract.ended_at),
    },
    // Without the reasons: they are words of people.
    history: history.map(({ at, from_state: from, to_state: to, event, actor }) => ({
      ...{ at: toTimestamp(at), from, to, event, actor },
    })),
    ledger: sets.map(({ cause, kind, at }) => ({ cause, kind, at: toTimestamp(at) })),
    documents,
    evidence: await evidenceOf(reader, id),
  };
}

/** For each agent and kind of record: how many, the first and the last, and one hash over all of theirs in order. */
async function evidenceOf(reader: Reader, contractId: string): Promise<ArchiveBody['evidence']> {
  const records = await reader
    .selectFrom('records')
    .select(['agent_key', 'seq', 'kind', 'hash'])
    .where('contract_id', '=', contractId)
    .orderBy('agent_key')
    .orderBy('kind')
    .orderBy('seq')
    .execute();
  const groups = Map.groupBy(records, ({ agent_key: agent, kind }) => `${agent} ${kind}`);
  return [...groups.values()].flatMap((group) => {
    const [first, last] = [group[0], group.at(-1)];
    if (first === undefined || last === undefined) return [];
    const all = createHash('sha256');
    for (const { hash } of group) all.update(hash);
    return [
      {
        ...{ agent: first.agent_key, kind: first.kind, count: group.length },
        ...{ first_seq: first.seq, first_hash: first.hash, last_seq: last.seq, last_hash: last.hash },
        sha256_of_hashes: all.digest('hex'),
      },
    ];
  });
}

/** Takes away what is personal: keys, addresses, passwords, mail, and the words of people. */
export async function dropPersonal(trx: Transaction, contractId: string): Promise<void> {
  await trx
    .updateTable('contracts')
    .set({ ssh_public_key: '', access: null, last_error: null })
    .where('id', '=', contractId)
    .execute();
  await sql`update contract_history set reason = event where contract_id = ${contractId}`.execute(trx);
  await trx.deleteFrom('credential_changes').where('contract_id', '=', contractId).execute();
  await trx.deleteFrom('held_orders').where('contract_id', '=', contractId).execute();
  await trx
    .updateTable('payments')
    .set({ email: null, checkout_url: null })
    .where('contract_id', '=', contractId)
    .execute();
  await sql`update provider_events set body = null where body is not null and payment_key in (
    select key from payments where contract_id = ${contractId})`.execute(trx);
}

export async function insertArchived(trx: Transaction, row: ArchivedContractsTable): Promise<void> {
  await trx.insertInto('archived_contracts').values(row).execute();
}

export async function findArchived(
  reader: Reader,
  contractId: string,
): Promise<ArchivedContractsTable | null> {
  const row = await reader
    .selectFrom('archived_contracts')
    .selectAll()
    .where('contract_id', '=', contractId)
    .executeTakeFirst();
  return row ?? null;
}

/** Deletes up to `limit` whose retention is over; resolves with how many. */
export async function forgetArchived(trx: Transaction, now: number, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from archived_contracts where contract_id in (
      select contract_id from archived_contracts where delete_after_at <= ${now}
      order by delete_after_at limit ${limit})`.execute(trx);
  return Number(numAffectedRows ?? 0);
}

/**
 * Deletes up to `limit` documents that were issued before `issuedBefore`, except those of contracts that are not
 * archived yet or still are. Their numbers and hashes stay: a series has no gap because something was forgotten.
 */
export async function forgetDocuments(
  trx: Transaction,
  { issuedBefore, now, limit }: { issuedBefore: number; now: number; limit: number },
): Promise<number> {
  const { rows } = await sql<{ number: string }>`
    select d.number from documents d left join contracts c on c.id = d.contract_id
    where d.issued_at < ${issuedBefore} and (d.contract_id is null or c.id is null or (c.ssh_public_key = ''
      and not exists (select 1 from archived_contracts a where a.contract_id = c.id)))
    order by d.issued_at limit ${limit}`.execute(trx);
  for (const { number } of rows) {
    await sql`insert into documents_forgotten (number, series, seq, sha256, forgotten_at)
      select number, series, seq, sha256, ${now} from documents where number = ${number}`.execute(trx);
    for (const table of ['document_sets', 'document_files', 'documents'] as const)
      await trx.deleteFrom(table).where('number', '=', number).execute();
  }
  return rows.length;
}
