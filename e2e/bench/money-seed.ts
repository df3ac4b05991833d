/**
 * Fills a coordinator's database with a market that has been in business: contracts that were paid and released, with
 * their postings, proofs and records. Written past the program but not past the tables' own rules.
 */
import { createHash } from 'node:crypto';
import BetterSqlite3 from 'better-sqlite3';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { hashJws } from '@dc/shared/crypto/jws';
import { CHAIN_START, signRecord } from '@dc/shared/evidence/record';

export interface SeedPlan {
  file: string;
  contracts: number;
  /** Of them, how many are active, and due for a release. */
  active: number;
  /** They share the contracts evenly; the first is known to the coordinator. */
  providers: readonly string[];
}

const MINUTE_MS = 60_000;
const HOURS = 10;
const RENT_E9S = 600_000_000n;
const RELEASES = 4;
const RELEASED_MINUTES = 8;
const PROVED_MINUTES = [9, 18];
const AGE_MS = 20 * MINUTE_MS;
const BATCH = 2_000;

const uuid = (name: string): string => {
  const hex = createHash('sha256').update(name).digest('hex');
  return `01990000-${hex.slice(0, 4)}-7${hex.slice(4, 7)}-8${hex.slice(7, 10)}-${hex.slice(10, 22)}`;
};

/** Five sets and ten postings a contract. */
export function seedMoney(
  { file, contracts, active, providers }: SeedPlan,
  progress: (text: string) => void,
): void {
  const db = new BetterSqlite3(file);
  db.pragma('journal_mode = wal');
  db.pragma('synchronous = off');
  db.pragma('foreign_keys = on');
  db.pragma('cache_size = -200000');
  const seeder = new Seeder(db, providers);
  for (let from = 0; from < contracts; from += BATCH) {
    if (from % 20_000 === 0) progress(`seeding contract ${String(from)} of ${String(contracts)}`);
    db.exec('begin');
    for (let index = from; index < Math.min(from + BATCH, contracts); index += 1)
      seeder.addContract(index, index < active);
    db.exec('commit');
  }
  db.exec('analyze');
  db.pragma('wal_checkpoint(truncate)');
  db.close();
}

/** Puts releases off, or makes those that are active due now and lets the job look at once. */
export function makeDue(file: string, isDue: boolean): void {
  const db = new BetterSqlite3(file, { timeout: 10_000 });
  if (isDue) {
    const active = `select id from contracts where state = 'active'`;
    db.exec(`update earnings set due_at = 0 where contract_id in (${active})`);
    db.exec(`update outbox set not_before_at = 0 where topic = 'every:releases'`);
  } else db.exec(`update earnings set due_at = 9007199254740991 where due_at is not null`);
  db.close();
}

/** How many contracts wait for the release run. */
export function countDue(file: string): number {
  const db = new BetterSqlite3(file, { readonly: true, timeout: 10_000 });
  const count = db.prepare(`select count(*) from earnings where due_at = 0`).pluck().get() as number;
  db.close();
  return count;
}

class Seeder {
  readonly #db: BetterSqlite3.Database;
  readonly #providers: readonly { pubkey: string; pool: string; offering: string }[];
  readonly #agent = SigningKey.fromSeed(new Uint8Array(32).fill(7));
  readonly #startedAt = Date.now() - AGE_MS;
  readonly #renter: string;
  readonly #statements = new Map<string, BetterSqlite3.Statement>();
  #prev = CHAIN_START;
  #seq = 0;

  constructor(db: BetterSqlite3.Database, providers: readonly string[]) {
    this.#db = db;
    const offering = db.prepare(`select * from offerings limit 1`).get() as Record<string, unknown>;
    this.#renter = 'ee'.repeat(32);
    this.#insert('accounts', { pubkey: this.#renter, created_at: 1 });
    this.#providers = providers.map((pubkey, index) => {
      const pool = uuid(`pool ${String(index)}`);
      const id = uuid(`offering ${String(index)}`);
      if (index > 0) {
        this.#insert('accounts', { pubkey, created_at: 1 });
        this.#insert('providers', {
          pubkey,
          name: `provider ${String(index)}`,
          auto_accept: 1,
          created_at: 1,
        });
      }
      this.#insert('pools', {
        id: pool,
        provider_pubkey: pubkey,
        name: 'a pool',
        country: 'DE',
        created_at: 1,
      });
      this.#insert('offerings', { ...offering, id, provider_pubkey: pubkey, pool_id: pool, retired_at: 1 });
      return { pubkey, pool, offering: id };
    });
  }

  addContract(index: number, isActive: boolean): void {
    const id = uuid(`contract ${String(index)}`);
    const provider = this.#providers[index % this.#providers.length];
    if (provider === undefined) throw new Error('there is no provider');
    const at = this.#startedAt;
    this.#insert('contracts', {
      ...{ id, version: 5, state: isActive ? 'active' : 'expired', release: isActive ? 'none' : 'released' },
      ...{ renter_pubkey: this.#renter, provider_pubkey: provider.pubkey, offering_id: provider.offering },
      ...{ offering_title: 'Seeded', pool_id: provider.pool, cpu: 1, memory_mb: 512, disk_gb: 10 },
      ...{ operating_system: 'debian-12', ssh_public_key: 'ssh-ed25519 AAAA', duration_hours: HOURS },
      ...{ total_e9s: RENT_E9S, setup_fee_e9s: 0, currency: 'USD', payment_method: 'test' },
      ...{ payment_state: 'succeeded', place_held: 0, epoch: 1, agent_key: this.#agent.publicKey },
      ...{ created_at: at, state_since_at: at, paid_at: at, provisioned_at: at, active_at: at },
      ...{ ends_at: at + HOURS * 60 * MINUTE_MS, ended_at: isActive ? null : at, paused_ms: 0 },
      verified_by: 'coordinator',
    });
    this.#addSet({ cause: `payment:test:${id}`, kind: 'payment_received', contract: id }, [
      ['processor:test', -RENT_E9S],
      [`escrow:${id}`, RENT_E9S],
    ]);
    this.#prove(id);
    this.#release(id, provider.pubkey, isActive);
  }

  /** The records that say it was well, and the span that they prove. */
  #prove(id: string): void {
    const hashes: string[] = [];
    for (const minutes of PROVED_MINUTES) {
      const at = this.#startedAt + minutes * MINUTE_MS;
      this.#seq += 1;
      const compact = signRecord(
        {
          ...{ seq: this.#seq, prev: this.#prev, at: new Date(at).toISOString(), environment: 'demo' },
          ...{ kind: 'health', contract_id: id, epoch: 1, data: { status: 'healthy', latency_ms: 3 } },
        },
        this.#agent,
      );
      this.#prev = hashJws(compact);
      hashes.push(this.#prev);
      this.#insert('records', {
        ...{ agent_key: this.#agent.publicKey, seq: this.#seq, compact, hash: this.#prev, kind: 'health' },
        ...{ contract_id: id, received_at: at, outcome: 'applied' },
      });
    }
    this.#insert('proved_spans', {
      ...{ contract_id: id, from_at: this.#startedAt, first_proof: null, last_proof: hashes.at(-1) ?? null },
      until_at: this.#startedAt + ((PROVED_MINUTES.at(-1) ?? 0) + 10) * MINUTE_MS,
    });
  }

  /** The releases of its first minutes; all that is left of one that has ended goes with the last of them. */
  #release(id: string, provider: string, isActive: boolean): void {
    const perMinute = RENT_E9S / BigInt(HOURS * 60);
    const minutes = RELEASED_MINUTES / RELEASES;
    let released = 0n;
    for (let part = 0; part < RELEASES; part += 1) {
      const from = this.#startedAt + part * minutes * MINUTE_MS;
      const amount = perMinute * BigInt(minutes);
      released += amount;
      const cause = `release:${id}:from:${String(from)}`;
      this.#addSet({ cause, kind: 'released_to_provider', contract: id }, [
        [`escrow:${id}`, -amount],
        [`provider_payable:${provider}`, amount],
      ]);
      this.#insert('releases', {
        ...{ cause, contract_id: id, provider_pubkey: provider, currency: 'USD', amount_e9s: amount },
        ...{ kind: 'time', from_at: from, to_at: from + minutes * MINUTE_MS, proved_ms: minutes * MINUTE_MS },
        at: Date.now(),
      });
    }
    this.#insert('earnings', {
      ...{ contract_id: id, judged_until_at: this.#startedAt + RELEASED_MINUTES * MINUTE_MS },
      ...{ proved_ms: RELEASED_MINUTES * MINUTE_MS, unproved_ms: 0, released_e9s: released, credited_e9s: 0 },
      // One that has ended waits for a look as well, so that what is left in its escrow is right to be there.
      ...{ setup_fee_released: 1, due_at: isActive ? 0 : Number.MAX_SAFE_INTEGER },
    });
  }

  #addSet(
    { cause, kind, contract }: { cause: string; kind: string; contract: string },
    postings: readonly (readonly [string, bigint])[],
  ): void {
    const id = uuid(cause);
    this.#insert('ledger_sets', {
      ...{ id, cause, kind, contract_id: contract, currency: 'USD', at: this.#startedAt },
    });
    for (const [line, [account, amount]] of postings.entries())
      this.#insert('ledger_postings', {
        ...{ set_id: id, line: line + 1, account, amount_e9s: amount, currency: 'USD' },
      });
    this.#insert('ledger_seals', { set_id: id });
  }

  #insert(table: string, row: Record<string, unknown>): void {
    const columns = Object.keys(row);
    const key = `${table} ${columns.join()}`;
    const statement =
      this.#statements.get(key) ??
      this.#db.prepare(
        `insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`,
      );
    this.#statements.set(key, statement);
    statement.run(...Object.values(row));
  }
}
