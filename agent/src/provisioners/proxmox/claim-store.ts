/**
 * The driver's own memory: which VMID (and which static address) was claimed for which contract, with the task that makes
 * it, and how its guest is reached. One SQLite file in the driver's folder; every change is on the disk before the call that it announces (I10).
 *
 * INVARIANT: a VMID is claimed once at a time, and not again within QUARANTINE_MS after it was given back: an id that
 * is still remembered somewhere must not come to mean another renter's VM. An address goes with its VMID: it is given
 * back with it, which is when nothing is left there, and given again to others as late as possible.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { ipv4Number, ipv4Text } from './ipv4.ts';

const QUARANTINE_MS = 24 * 3_600_000;

/** What a claim has come to. `cloning`: it may still have to be configured and started. */
export type ClaimPhase = 'cloning' | 'ready';

/** How a guest is reached, and by what its host key is known. */
export interface GuestAccess {
  readonly host: string;
  readonly hostKey: string;
  /** `SHA256:` and unpadded base64. */
  readonly fingerprint: string;
  /** `agent`: read inside by the guest agent. `first_contact`: the first that answered there. */
  readonly keySource: 'agent' | 'first_contact';
  readonly machineId: string | null;
}

/** One VMID that is ours. */
export interface Claim {
  readonly vmid: number;
  readonly contractId: string;
  readonly token: string;
  readonly node: string;
  readonly upid: string | null;
  readonly phase: ClaimPhase;
  readonly access: GuestAccess | null;
  /** The static address that it gets; null: by DHCP. */
  readonly address: string | null;
}

/** What can be claimed. */
export interface ClaimRanges {
  readonly vmids: { readonly first: number; readonly last: number };
  /** As 32-bit numbers; null where guests get theirs by DHCP. */
  readonly addresses: { readonly first: number; readonly last: number } | null;
}

/** What somebody else has already. */
export interface Taken {
  readonly vmid: (vmid: number) => boolean;
  readonly address: (address: string) => boolean;
}

interface Row {
  vmid: number;
  contract_id: string;
  token: string;
  node: string;
  upid: string | null;
  phase: ClaimPhase;
  access: string | null;
  address: string | null;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS claims (
    vmid INTEGER NOT NULL, contract_id TEXT NOT NULL, token TEXT NOT NULL, node TEXT NOT NULL,
    upid TEXT, phase TEXT NOT NULL CHECK (phase IN ('cloning', 'ready')), access TEXT,
    claimed_at INTEGER NOT NULL, freed_at INTEGER
  ) STRICT;
  CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS claims_vmid ON claims (vmid) WHERE freed_at IS NULL;
  CREATE UNIQUE INDEX IF NOT EXISTS claims_contract ON claims (contract_id) WHERE freed_at IS NULL;
`;
/** Came later: a file from before has claims without. */
const ADDRESS = `
  ALTER TABLE claims ADD COLUMN address TEXT;
  CREATE UNIQUE INDEX claims_address ON claims (address) WHERE freed_at IS NULL;
`;
const COLUMNS = 'vmid, contract_id, token, node, upid, phase, access, address';

export class ClaimStore {
  readonly #db: Database.Database;
  readonly #clock: Clock;

  private constructor(db: Database.Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Opens or makes the file in `stateDir`. */
  static open(stateDir: string, clock: Clock): ClaimStore {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const db = new Database(join(stateDir, 'claims.sqlite'));
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.exec(SCHEMA);
    const columns = db.prepare<[], { name: string }>('PRAGMA table_info(claims)').all();
    if (!columns.some(({ name }) => name === 'address')) db.transaction(() => db.exec(ADDRESS))();
    return new ClaimStore(db, clock);
  }

  close(): void {
    this.#db.close();
  }

  /** What was once learned of the cluster; null before. */
  fact(name: string): string | null {
    const row = this.#db
      .prepare<[string], { value: string }>('SELECT value FROM facts WHERE name = ?')
      .get(name);
    return row?.value ?? null;
  }

  noteFact(name: string, value: string): void {
    this.#db
      .prepare('INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value')
      .run(name, value);
  }

  ofContract(contractId: string): Claim | null {
    return this.#one('contract_id = ?', contractId);
  }

  ofVmid(vmid: number): Claim | null {
    return this.#one('vmid = ?', vmid);
  }

  /** All that are not given back. */
  all(): Claim[] {
    const rows = this.#db.prepare<[], Row>(`SELECT ${COLUMNS} FROM claims WHERE freed_at IS NULL`).all();
    return rows.map(toClaim);
  }

  /**
   * Claims the next VMID for a contract, and the next address where there are static ones: each time the one after the
   * last that was claimed, and round again. `taken` knows what else is there. Throws PROVISIONER_EXHAUSTED where all are
   * taken or in quarantine.
   */
  claimNext(
    { vmids, addresses }: ClaimRanges,
    wish: Pick<Claim, 'contractId' | 'token' | 'node'>,
    taken: Taken,
  ): Claim {
    const kept = this.#keptVmids();
    const vmid = nextOf(vmids, this.#lastVmid(vmids), (each) => kept.has(each) || taken.vmid(each));
    if (vmid === null)
      throw new AppError('PROVISIONER_EXHAUSTED', `No VMID from ${vmids.first} to ${vmids.last} is free.`, {
        remedy: 'Give the driver a wider range: vmid_first and vmid_last.',
      });
    const address = addresses === null ? null : this.#nextAddress(addresses, taken);
    const claim: Claim = { ...wish, vmid, upid: null, phase: 'cloning', access: null, address };
    this.insert(claim);
    return claim;
  }

  /** How many addresses could be claimed now, were nobody else there. */
  freeAddresses({ first, last }: { readonly first: number; readonly last: number }): number {
    return last - first + 1 - this.#heldAddresses().size;
  }

  /** How many VMIDs of the range could be claimed now, were nobody else there. */
  freeVmids({ first, last }: { readonly first: number; readonly last: number }): number {
    const kept = [...this.#keptVmids()].filter((vmid) => vmid >= first && vmid <= last);
    return last - first + 1 - kept.length;
  }

  /** Takes up what was found at the backend and carries our seal. */
  insert(claim: Claim): void {
    const { vmid, contractId, token, node, upid, phase, access, address } = claim;
    this.#db
      .prepare(
        `INSERT INTO claims (vmid, contract_id, token, node, upid, phase, access, address, claimed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        vmid,
        contractId,
        token,
        node,
        upid,
        phase,
        access === null ? null : JSON.stringify(access),
        address,
        Math.round(this.#clock.now()),
      );
  }

  /** Remembers the task that makes the VM, before anybody waits for it. */
  noteTask(vmid: number, upid: string): void {
    this.#set(vmid, 'upid', upid);
  }

  noteNode(vmid: number, node: string): void {
    this.#set(vmid, 'node', node);
  }

  /** The guest can be logged in to. */
  noteReady(vmid: number, access: GuestAccess): void {
    this.#set(vmid, 'access', JSON.stringify(access));
    this.#set(vmid, 'phase', 'ready');
  }

  /** Gives a VMID back: its VM is gone, or never was. Idempotent. */
  free(vmid: number): void {
    this.#set(vmid, 'freed_at', Math.round(this.#clock.now()));
  }

  #nextAddress(range: { readonly first: number; readonly last: number }, taken: Taken): string {
    const held = this.#heldAddresses();
    const newest = this.#db
      .prepare<[], { address: string }>(
        'SELECT address FROM claims WHERE address IS NOT NULL ORDER BY rowid DESC LIMIT 1',
      )
      .get();
    const last = newest === undefined ? null : ipv4Number(newest.address);
    const number = nextOf(range, last, (each) => held.has(ipv4Text(each)) || taken.address(ipv4Text(each)));
    if (number !== null) return ipv4Text(number);
    const [first, end] = [ipv4Text(range.first), ipv4Text(range.last)];
    throw new AppError('PROVISIONER_EXHAUSTED', `No address from ${first} to ${end} is free.`, {
      remedy: 'Give the driver a wider range: addresses.first and addresses.last.',
    });
  }

  #heldAddresses(): Set<string> {
    const rows = this.#db
      .prepare<[], { address: string }>(
        'SELECT address FROM claims WHERE freed_at IS NULL AND address IS NOT NULL',
      )
      .all();
    return new Set(rows.map(({ address }) => address));
  }

  #lastVmid({ first, last }: { readonly first: number; readonly last: number }): number | null {
    const row = this.#db
      .prepare<[number, number], { vmid: number }>(
        'SELECT vmid FROM claims WHERE vmid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT 1',
      )
      .get(first, last);
    return row?.vmid ?? null;
  }

  #keptVmids(): Set<number> {
    const since = Math.round(this.#clock.now()) - QUARANTINE_MS;
    const rows = this.#db
      .prepare<[number], { vmid: number }>('SELECT vmid FROM claims WHERE freed_at IS NULL OR freed_at > ?')
      .all(since);
    return new Set(rows.map(({ vmid }) => vmid));
  }

  #set(
    vmid: number,
    column: 'upid' | 'node' | 'access' | 'phase' | 'freed_at',
    value: string | number,
  ): void {
    this.#db.prepare(`UPDATE claims SET ${column} = ? WHERE vmid = ? AND freed_at IS NULL`).run(value, vmid);
  }

  #one(where: string, value: string | number): Claim | null {
    const row = this.#db
      .prepare<[string | number], Row>(`SELECT ${COLUMNS} FROM claims WHERE ${where} AND freed_at IS NULL`)
      .get(value);
    return row === undefined ? null : toClaim(row);
  }
}

/** The first free one after `last`, and round again from the first; null where there is none. */
function nextOf(
  { first, last: end }: { readonly first: number; readonly last: number },
  last: number | null,
  isTaken: (number: number) => boolean,
): number | null {
  const size = end - first + 1;
  const start = last === null || last < first || last > end ? 0 : last - first + 1;
  for (let step = 0; step < size; step++) {
    const number = first + ((start + step) % size);
    if (!isTaken(number)) return number;
  }
  return null;
}

function toClaim({ vmid, contract_id: contractId, token, node, upid, phase, access, address }: Row): Claim {
  return {
    vmid,
    contractId,
    token,
    node,
    upid,
    phase,
    access: access === null ? null : (JSON.parse(access) as GuestAccess),
    address,
  };
}
