/**
 * What the invariants read of the coordinator's database and of the agents' journals: SQL of their own. A parameter has a
 * plus before it, so that SQLite does not plan anew for each value.
 */
import BetterSqlite3, { type Database, type Statement } from 'better-sqlite3';
import type { ContractState } from '@dc/shared/state/contract';

export interface ContractLine {
  readonly id: string;
  readonly state: ContractState;
  readonly release: string;
  readonly epoch: number;
  readonly paid_at: number | null;
}

export interface HeadRow {
  readonly agent_key: string;
  readonly seq: number;
  readonly hash: string;
}

export interface HistoryRow {
  readonly rowid: number;
  readonly contract_id: string;
  readonly from_state: ContractState | null;
  readonly to_state: ContractState;
  readonly event: string;
  readonly actor: string;
}

/** How far each table has grown, and what changes with any contract. */
export interface LastRow {
  readonly history: number;
  readonly sets: number;
  readonly records: number;
  readonly sums: string;
}

export interface SetRow {
  readonly rowid: number;
  readonly id: string;
  readonly contract_id: string;
}

export interface RecordRow {
  readonly rowid: number;
  readonly compact: string;
  readonly outcome: string;
}

type QueryName =
  | 'version'
  | 'history'
  | 'sets'
  | 'records'
  | 'contracts'
  | 'contract'
  | 'tombstone'
  | 'fork'
  | 'bound'
  | 'paid'
  | 'ended'
  | 'ids'
  | 'heads'
  | 'last'
  | 'setSum'
  | 'money'
  | 'payments'
  | 'atHouse';

/** The statements by name; `rest` are those that must answer nothing once everything has come to rest. */
export type Queries = Readonly<Record<QueryName, Statement>> & {
  readonly rest: Readonly<Record<string, Statement>>;
};

/** The statements, prepared once for each connection. */
export function prepareQueries(db: Database): Queries {
  return {
    version: db.prepare('pragma data_version').pluck(),
    history: db.prepare(
      `select rowid, contract_id, from_state, to_state, event, actor from contract_history
       where rowid > +? order by rowid`,
    ),
    sets: db.prepare('select rowid, id, contract_id from ledger_sets where rowid > +? order by rowid'),
    records: db.prepare('select rowid, compact, outcome from records where rowid > +? order by rowid'),
    contracts: db.prepare('select id, state, release, epoch, paid_at from contracts'),
    contract: db.prepare('select id, state, release, epoch, paid_at from contracts where id = +?'),
    tombstone: db.prepare('select 1 from work where contract_id = +? and tombstone is not null'),
    fork: db.prepare('select 1 from forks'),
    bound: db
      .prepare(
        `select id from contracts where agent_key = +@key or (agent_key is null and pool_id = +@deadPool)
         union select contract_id from work where agent_key = +@key and state in ('open', 'leased')`,
      )
      .pluck(),
    paid: db.prepare('select id from contracts where paid_at is not null').pluck(),
    ended: db.prepare('select contract_id from work where tombstone is not null').pluck(),
    ids: db.prepare('select id from contracts union all select id from extensions').pluck(),
    heads: db.prepare('select agent_key, max(seq) as seq, hash from records group by agent_key'),
    last: db.prepare(
      `select (select coalesce(max(rowid), 0) from contract_history) as history,
       (select coalesce(max(rowid), 0) from ledger_sets) as sets,
       (select coalesce(max(rowid), 0) from records) as records,
       (select count(*) || total(version) || total(epoch) from contracts) as sums`,
    ),
    setSum: db.prepare('select sum(amount_e9s) from ledger_postings where set_id = +?').pluck(),
    money: db.prepare(
      `select sum(p.amount_e9s) as escrow, total(case when s.kind in
         ('payment_received', 'released_to_provider', 'refund_decided') then p.amount_e9s end) as unspent
       from ledger_postings p join ledger_sets s on s.id = p.set_id where p.account = +:account`,
    ),
    payments: db.prepare('select key, contract_id from payments'),
    atHouse: db.prepare(
      `select s.contract_id, sum(p.amount_e9s) as sum from ledger_postings p
       join ledger_sets s on s.id = p.set_id where p.account = 'processor:house' group by s.contract_id`,
    ),
    rest: {
      contract: db.prepare(`select id || ' is ' || state || ', release ' || release as what from contracts
        where state not in ('rejected', 'cancelled', 'failed', 'expired') or release = 'pending'`),
      place: db.prepare(`select id as what from offerings o where places_taken <>
        (select count(*) from contracts c where c.offering_id = o.id and c.place_held = 1)`),
      held: db.prepare(`select id || ' holds its place' as what from contracts where place_held = 1`),
      work: db.prepare(`select kind || ' of ' || contract_id || ' is ' || state as what from work
        where state in ('open', 'leased')`),
      refund: db.prepare(`select key as what from refunds where confirmed_at is null`),
      outbox: db.prepare(`select topic || ' ' || key || ' ' || coalesce(last_error, '') as what from outbox
        where done_at is null and topic not like 'every:%' and topic <> 'contract.deadline'`),
      money:
        db.prepare(`select c.id || ' (' || c.state || ') has ' || coalesce(sum(p.amount_e9s), 0) || ' in escrow' as what
        from contracts c join ledger_postings p on p.account = 'escrow:' || c.id group by c.id
        having sum(p.amount_e9s) <> 0`),
      // I2: whoever did not get an instance gets everything back.
      refunded:
        db.prepare(`select c.id || ' (' || c.state || ') was not refunded in full' as what from contracts c
        where c.paid_at is not null and c.active_at is null and c.total_e9s <> coalesce(
          (select sum(amount_e9s) from refunds r where r.contract_id = c.id and r.confirmed_at is not null), 0)`),
    },
  };
}

/** Looks into journals. To open one takes longer than to ask it: it stays open until the end. */
export class JournalLooks {
  readonly #open = new Map<string, Database>();

  /** The one number that a query of a journal answers. */
  ask(file: string, sql: string): number {
    let db = this.#open.get(file);
    if (db === undefined) {
      db = new BetterSqlite3(file, { readonly: true });
      this.#open.set(file, db);
    }
    return db.prepare(sql).pluck().get() as number;
  }

  close(): void {
    for (const db of this.#open.values()) db.close();
    this.#open.clear();
  }
}
