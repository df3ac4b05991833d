/**
 * Holds the world against the invariants of DESIGN.md: what the database says, what is at every backend, and what the
 * payment house really moved. It reads the database by itself, past everything that could be wrong in the programs.
 */
import BetterSqlite3 from 'better-sqlite3';
import { CHAIN_START, verifyRecord } from '@dc/shared/evidence/record';
import { readSeal } from '@dc/shared/seal';
import {
  CONTRACT_EVENTS,
  isTerminal,
  nextContractState,
  type ContractEvent,
  type ContractState,
} from '@dc/shared/state/contract';
import type { MemoryObject } from '../../agent/src/provisioners/memory/memory-backend.ts';
import {
  prepareQueries,
  JournalLooks,
  type ContractLine,
  type HeadRow,
  type HistoryRow,
  type LastRow,
  type Queries,
  type RecordRow,
  type SetRow,
} from './invariant-queries.ts';
import { keptE9s, type PaymentHouse } from './payment-house.ts';
import { UUID } from './trace.ts';
import type { BackendWatcher, WatchedBackend } from './watched-backend.ts';
import type { World } from './world.ts';

/** What the checks need to know of the agents. */
export interface Sealed {
  readonly sealSecret: Uint8Array;
  readonly environment: string;
}

/** What the checks see of an agent. */
export interface WatchedAgent {
  readonly key: string;
  readonly poolId: string;
  /** The file. */
  readonly journal: string;
  readonly isGivenUp: boolean;
}

export interface InvariantsOptions extends Sealed {
  readonly house: Pick<PaymentHouse, 'checkouts'>;
  readonly agents: () => readonly WatchedAgent[];
  readonly forksMayHappen: () => boolean;
  /** Grows with every change of the database. */
  readonly commits: () => number;
}

/** What a contract still wants of an agent that was given up; its money is settled all the same. */
const OWED_BY_AGENT =
  /^work: |^held: | is (rejected|cancelled|failed|expired), release pending$| has an instance of /;

export class Invariants implements BackendWatcher {
  readonly #world: World;
  readonly #sealed: Sealed;
  readonly #house: Pick<PaymentHouse, 'checkouts'>;
  readonly #backends: WatchedBackend[] = [];
  readonly #states = new Map<string, ContractState>();
  readonly #epochs = new Map<string, number>();
  readonly #chains = new Map<string, { seq: number; hash: string }>();
  readonly #agents: () => readonly WatchedAgent[];
  readonly #forksMayHappen: () => boolean;
  readonly #commits: () => number;
  /** Contracts that were paid, and those with a tombstone, in a database that was replaced by an older one. */
  readonly #paidBefore = new Set<string>();
  readonly #endedBefore = new Set<string>();
  readonly #everSeen = new Set<string>();
  /** What seals say; a seal that was read once is not computed again. */
  readonly #seals = new Map<string, ReturnType<typeof readSeal>>();
  readonly #journals = new JournalLooks();
  #db: BetterSqlite3.Database | null = null;
  #statements: Queries | null = null;
  /** Up to which commit everything has been looked at; by the coordinator's count, and by the file's own. */
  #checked = -1;
  #writes = -1;
  #seen: LastRow = { history: 0, sets: 0, records: 0, sums: '' };

  constructor(world: World, options: InvariantsOptions) {
    this.#world = world;
    this.#sealed = options;
    this.#house = options.house;
    this.#agents = options.agents;
    this.#forksMayHappen = options.forksMayHappen;
    this.#commits = options.commits;
  }

  /** Watches a database file from now on. */
  open(file: string): void {
    this.#db = new BetterSqlite3(file, { readonly: true });
    this.#db.defaultSafeIntegers(false);
    this.#statements = prepareQueries(this.#db);
  }

  close(): void {
    this.#journals.close();
    this.#db?.close();
  }

  watch(backend: WatchedBackend): void {
    this.#backends.push(backend);
  }

  /** How many contracts there have been. */
  get contracts(): number {
    return this.#everSeen.size;
  }

  /** What the history says of a contract. */
  stateOf(contractId: string): ContractState | undefined {
    return this.#states.get(contractId);
  }

  /** Contracts that are paused. */
  get paused(): string[] {
    return [...this.#states].filter(([, state]) => state === 'paused').map(([id]) => id);
  }

  /** Contracts that can be paused. */
  get active(): string[] {
    return [...this.#states].filter(([, state]) => state === 'active').map(([id]) => id);
  }

  /** Lets `replace` put an older database in the place of this one, and goes on from what is in that. */
  restore(replace: () => boolean): boolean {
    const { paid, ended, ids } = this.#statements ?? {};
    const file = this.#db?.name;
    if (file === undefined) return false;
    for (const id of (paid?.all() ?? []) as string[]) this.#paidBefore.add(id);
    for (const id of (ended?.all() ?? []) as string[]) this.#endedBefore.add(id);
    const before = new Set(ids?.all() as string[]);
    this.close();
    const isReplaced = replace();
    this.open(file);
    if (!isReplaced) return false;
    for (const id of this.#statements?.ids.all() as string[]) before.delete(id);
    for (const id of before) this.#world.lost.add(id);
    this.#goOnFrom();
    return true;
  }

  #goOnFrom(): void {
    const { contracts, last, heads } = this.#statements ?? {};
    this.#states.clear();
    this.#epochs.clear();
    this.#chains.clear();
    for (const { id, state, epoch } of (contracts?.all() ?? []) as ContractLine[]) {
      this.#states.set(id, state);
      this.#epochs.set(id, epoch);
    }
    for (const { agent_key: agent, seq, hash } of (heads?.all() ?? []) as HeadRow[])
      this.#chains.set(agent, { seq, hash });
    this.#checked = -1;
    this.#seen = { ...(last?.get() as LastRow), sums: '' };
  }

  onMade(backend: WatchedBackend, object: MemoryObject): void {
    if (backend.foreign.has(object.id)) return;
    const { contractId } = object;
    this.#world.note(backend.name, `has an instance of ${contractId}`);
    if (!this.#isSealed(object)) this.#world.violate('I6', `${object.id} at ${backend.name} has no seal`);
    const count = this.#backends.reduce((sum, one) => sum + this.#instancesAt(one, contractId).length, 0);
    if (count > 1) this.#world.violate('I4', `${contractId} has ${String(count)} instances`);
    if (this.#contract(contractId)?.paid_at == null && !this.#paidBefore.has(contractId))
      this.#world.violate('I2', `an instance was made for ${contractId}, which is not paid`);
  }

  onGone(backend: WatchedBackend, object: MemoryObject): void {
    const { contractId } = object;
    if (!this.#isSealed(object)) {
      this.#world.violate('I6', `${object.id} at ${backend.name} was destroyed, and it is not ours`);
      return;
    }
    this.#world.note(backend.name, `the instance of ${contractId} is gone`);
    if (this.#endedBefore.has(contractId)) return;
    if (this.#statements?.tombstone.get(contractId) !== undefined) return;
    if (this.#wasReported(contractId))
      this.#world.violate('I7', `the reported instance of ${contractId} was destroyed without a tombstone`);
  }

  /** An agent has just signed that the contract has no instance at its backend. */
  checkGone(contractId: string, backend: WatchedBackend): void {
    if (this.#instancesAt(backend, contractId).length === 0) return;
    this.#world.violate('I5', `${contractId} is reported destroyed, and its instance is at ${backend.name}`);
  }

  /** After every step: whatever has changed since the last one. */
  check(): void {
    this.#world.assertSound();
    this.#checkForeign();
    const commits = this.#commits();
    if (commits === this.#checked) return;
    this.#checkChanges();
    this.#checked = commits;
    this.#world.assertSound();
  }

  /** Now and then: what somebody may have changed past the coordinator and the backends. */
  checkAll(): void {
    this.#checkForeignWhole();
    const writes = this.#statements?.version.get() as number | undefined;
    if (writes !== this.#writes) this.#checkChanges();
    this.#writes = writes ?? -1;
    this.#world.assertSound();
  }

  #checkChanges(): void {
    const { last, history, sets, records } = this.#statements ?? {};
    if (last === undefined) return;
    const seen = this.#seen;
    const now = last.get() as LastRow;
    this.#seen = now;
    if (now.history > seen.history)
      for (const row of history?.all(seen.history) as HistoryRow[]) this.#checkMove(row);
    if (now.sets > seen.sets) for (const row of sets?.all(seen.sets) as SetRow[]) this.#checkSet(row);
    if (now.records > seen.records)
      for (const row of records?.all(seen.records) as RecordRow[]) this.#checkRecord(row);
    if (now.sums !== seen.sums) this.#checkContracts();
  }

  /** What is still going on: empty where everything has come to rest that can. */
  unrest(): string[] {
    const agents = this.#agents();
    const bound = agents.flatMap(({ key, poolId, isGivenUp }) => {
      if (!isGivenUp) return [];
      const isDead = agents.every((other) => other.poolId !== poolId || other.isGivenUp);
      const deadPool = isDead ? poolId : '';
      return (this.#statements?.bound.all({ key, deadPool }) ?? []) as string[];
    });
    const ofGivenUp = new Set(bound);
    const isOwed = (line: string): boolean =>
      OWED_BY_AGENT.test(line) && ofGivenUp.has(UUID.exec(line)?.[0] ?? '');
    const inDatabase = this.#unrestInDatabase().filter((line) => !isOwed(line));
    if (inDatabase.length > 0) return inDatabase;
    return [...this.#unrestOutside().filter((line) => !isOwed(line)), ...this.#unrestInMoney()];
  }

  #unrestInDatabase(): string[] {
    return Object.entries(this.#statements?.rest ?? {}).flatMap(([name, statement]) =>
      (statement.all() as { what: string }[]).map(({ what }) => `${name}: ${what}`),
    );
  }

  #unrestOutside(): string[] {
    const unrest: string[] = [];
    for (const { journal, isGivenUp } of this.#agents()) {
      const sql = 'select count(*) as n from records where acknowledged_at is null';
      const count = isGivenUp ? 0 : this.#journals.ask(journal, sql);
      if (count > 0) unrest.push(`${String(count)} records wait in ${journal.split('/').at(-2) ?? ''}`);
    }
    for (const backend of this.#backends) {
      for (const object of backend.objects.values()) {
        // What nobody knows any more is not touched: a person has to find out what it was.
        if (backend.foreign.has(object.id) || this.#world.lost.has(object.contractId)) continue;
        const state = this.#contract(object.contractId)?.state;
        if (state === undefined || isTerminal(state))
          unrest.push(`${backend.name} has an instance of ${object.contractId}, which is ${String(state)}`);
      }
    }
    return unrest;
  }

  /** Where the books and the payment house do not agree on what it holds for a contract (I3). */
  #unrestInMoney(): string[] {
    const { payments, atHouse } = this.#statements ?? {};
    const known = (payments?.all() ?? []) as { key: string; contract_id: string }[];
    const contractOf = new Map(known.map(({ key, contract_id }) => [key, contract_id]));
    const rest = new Map<string, number>();
    const add = (id: string, amount: number): void => void rest.set(id, (rest.get(id) ?? 0) + amount);
    for (const [key, checkout] of this.#house.checkouts) {
      const contractId = contractOf.get(key);
      if (contractId !== undefined) add(contractId, Number(keptE9s(checkout)));
      else if (!this.#world.lost.has(UUID.exec(key)?.[0] ?? '')) return [`nobody knows the payment ${key}`];
    }
    // What the house holds has left its account in the books.
    for (const { contract_id: id, sum } of (atHouse?.all() ?? []) as { contract_id: string; sum: number }[])
      add(id, sum);
    return [...rest]
      .filter(([, difference]) => difference !== 0)
      .map(([id, difference]) => `the house holds ${String(difference)} more for ${id} than the books say`);
  }

  #checkMove(row: HistoryRow): void {
    const { contract_id: id, from_state: from, to_state: to, event } = row;
    this.#world.note(
      'contract',
      `${id} ${from ?? 'new'} → ${to} (${event}, ${row.actor.split(':')[0] ?? ''})`,
    );
    if ((this.#states.get(id) ?? null) !== from)
      this.#world.violate('I9', `${id} went from ${String(from)}, and was ${String(this.#states.get(id))}`);
    // What only happens within a state is in the history too.
    const isMove = CONTRACT_EVENTS.includes(event as ContractEvent);
    const next = isMove && from !== null ? nextContractState(from, event as ContractEvent) : from;
    if (from !== null && next !== to)
      this.#world.violate('I9', `${id} went from ${from} to ${to} by ${event}`);
    this.#states.set(id, to);
    this.#everSeen.add(id);
  }

  #checkSet({ id, contract_id: contractId }: SetRow): void {
    const { setSum, money } = this.#statements ?? {};
    if (setSum?.get(id) !== 0) this.#world.violate('I1', `the set ${id} does not sum to zero`);
    const { escrow, unspent } = money?.get({ account: `escrow:${contractId}` }) as {
      escrow: number;
      unspent: number;
    };
    if (escrow < 0 || unspent < 0) this.#world.violate('I1', `${contractId} spent more than was paid`);
  }

  #checkRecord({ compact, outcome }: RecordRow): void {
    const record = verifyRecord(compact);
    if (record === null) {
      this.#world.violate('I12', 'a record that does not verify was kept');
      return;
    }
    const { agent, payload, hash } = record;
    const last = this.#chains.get(agent) ?? { seq: 0, hash: CHAIN_START };
    if (payload.seq !== last.seq + 1 || payload.prev !== last.hash)
      this.#world.violate('I12', `record ${String(payload.seq)} does not follow ${String(last.seq)}`);
    this.#chains.set(agent, { seq: payload.seq, hash });
    const { contract_id: id, kind, data } = payload;
    if (kind !== 'health') this.#world.note('record', `${id} ${kind} ${outcome}`);
    if (kind === 'provisioned' && !this.#isOwnHandle(id, String(data['handle_id'])))
      this.#world.violate(
        'I6',
        `${id} was reported with ${String(data['handle_id'])}, which is not its sealed instance`,
      );
  }

  #checkContracts(): void {
    for (const row of (this.#statements?.contracts.all() ?? []) as ContractLine[]) {
      const { id, epoch, state, paid_at: paidAt } = row;
      if (epoch < (this.#epochs.get(id) ?? 0)) this.#world.violate('I8', `the epoch of ${id} fell`);
      this.#epochs.set(id, epoch);
      if (this.#states.get(id) !== state)
        this.#world.violate('I9', `${id} is ${state}, and its history says ${String(this.#states.get(id))}`);
      if (paidAt === null && !['requested', 'rejected', 'cancelled'].includes(state))
        this.#world.violate('I2', `${id} is ${state} without payment`);
    }
    if (!this.#forksMayHappen() && this.#statements?.fork.get() !== undefined)
      this.#world.violate('I12', 'an agent has signed two records with one number');
  }

  #checkForeign(): void {
    for (const { name, foreign, objects } of this.#backends)
      for (const [id, { parts }] of foreign)
        if (!isSame(objects.get(id), parts))
          this.#world.violate('I6', `the foreign object ${id} at ${name} was touched`);
  }

  #checkForeignWhole(): void {
    for (const { name, foreign, objects } of this.#backends)
      for (const [id, { text }] of foreign)
        if (JSON.stringify(objects.get(id)) !== text)
          this.#world.violate('I6', `the foreign object ${id} at ${name} was touched`);
  }

  #contract(id: string): ContractLine | undefined {
    return this.#statements?.contract.get(id) as ContractLine | undefined;
  }

  #isSealed({ seal, contractId }: MemoryObject): boolean {
    if (seal === null) return false;
    const { sealSecret, environment } = this.#sealed;
    const known = this.#seals.get(seal);
    const read = known === undefined ? readSeal(sealSecret, seal) : known;
    this.#seals.set(seal, read);
    return read?.contractId === contractId && read.environment === environment;
  }

  #instancesAt({ objects }: WatchedBackend, contractId: string): MemoryObject[] {
    return [...objects.values()].filter((one) => one.contractId === contractId && this.#isSealed(one));
  }

  /** Also where it is gone by now: what was never foreign and never unsealed was its own. */
  #isOwnHandle(contractId: string, handleId: string): boolean {
    return (
      handleId.startsWith(`${contractId}.`) && !this.#backends.some(({ foreign }) => foreign.has(handleId))
    );
  }

  #wasReported(contractId: string): boolean {
    const sql = `select count(*) as n from records where kind = 'provisioned' and contract_id = '${contractId}'`;
    return this.#agents().some(({ journal }) => this.#journals.ask(journal, sql) > 0);
  }
}

/** Whether an object has the very parts that it had. */
function isSame(object: MemoryObject | undefined, parts: readonly unknown[]): boolean {
  if (object === undefined) return false;
  let index = 0;
  for (const name in object) if (object[name as keyof MemoryObject] !== parts[index++]) return false;
  return index === parts.length;
}
