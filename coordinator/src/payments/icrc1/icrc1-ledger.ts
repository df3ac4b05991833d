/**
 * An ICRC-1 ledger and its index on the Internet Computer, through the official agent. What only reads is asked as an
 * update too: its answer is then certified by the subnet, and no single node can make one up.
 */
import { Actor, HttpAgent } from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Ed25519KeyIdentity } from '@icp-sdk/core/identity';
import type { Principal } from '@icp-sdk/core/principal';
import { AppError } from '@dc/shared/errors';
import { untilAborted } from '@dc/shared/until-aborted';
import type { Icrc1Account } from './icrc1-account.ts';

/** Where the ledger is, and whose money is sent. */
export interface Icrc1Settings {
  /** 32 bytes: the wallet is the main account of this key. */
  seed: Uint8Array;
  apiBase: string;
  ledgerCanisterId: string;
  indexCanisterId: string;
  /** Whether `apiBase` says itself which key its answers are signed with: a stand-in on loopback. */
  bringsItsKey: boolean;
}

/** As the standard says. */
export interface TransferArgs {
  from_subaccount: [];
  to: Icrc1Account;
  amount: bigint;
  fee: [bigint];
  memo: [Uint8Array];
  created_at_time: [bigint];
}
type TransferResult = { Ok: bigint } | { Err: Record<string, Record<string, unknown> | null> };

/** A transaction of an account, as the index tells it. */
export interface IndexedTransfer {
  block: bigint;
  atMs: number;
  from: Icrc1Account;
  to: Icrc1Account;
  amount: bigint;
  memo: Uint8Array | null;
}

interface RawTransaction {
  id: bigint;
  transaction: {
    timestamp: bigint;
    transfer: [] | [{ from: Icrc1Account; to: Icrc1Account; amount: bigint; memo: [] | [Uint8Array] }];
  };
}

interface LedgerCanister {
  icrc1_transfer(args: TransferArgs): Promise<TransferResult>;
  icrc3_get_blocks(ranges: { start: bigint; length: bigint }[]): Promise<{ log_length: bigint }>;
}
interface PageArgs {
  account: Icrc1Account;
  max_results: bigint;
  start: [] | [bigint];
}
type TransactionPage = { Ok: { transactions: RawTransaction[] } } | { Err: { message: string } };

interface IndexCanister {
  status(): Promise<{ num_blocks_synced: bigint }>;
  get_account_transactions(args: PageArgs): Promise<TransactionPage>;
}

const PAGE = 100n;
const PAGES_MAX = 20;

/** The calls. Each throws PAYMENT_PROVIDER_UNAVAILABLE where it is not known what became of it. */
export class Icrc1Ledger {
  readonly #agent: HttpAgent;
  readonly #ledger: LedgerCanister;
  readonly #index: IndexCanister;
  readonly #settings: Icrc1Settings;
  readonly #wallet: Principal;

  constructor(settings: Icrc1Settings) {
    const identity = Ed25519KeyIdentity.generate(settings.seed);
    this.#settings = settings;
    this.#wallet = identity.getPrincipal();
    this.#agent = HttpAgent.createSync({ host: settings.apiBase, identity, retryTimes: 0 });
    const at = (canisterId: string) => ({ agent: this.#agent, canisterId });
    this.#ledger = Actor.createActor<LedgerCanister>(ledgerIdl, at(settings.ledgerCanisterId));
    this.#index = Actor.createActor<IndexCanister>(indexIdl, at(settings.indexCanisterId));
  }

  /** The account that is paid from. */
  get wallet(): Icrc1Account {
    return { owner: this.#wallet, subaccount: [] };
  }

  transfer(args: TransferArgs, signal: AbortSignal): Promise<TransferResult> {
    return this.#call(signal, 'transfer', () => this.#ledger.icrc1_transfer(args));
  }

  /** What left the wallet since a time, newest first. Throws also where the index lags behind the ledger. */
  async transfersSince(sinceMs: number, signal: AbortSignal): Promise<IndexedTransfer[]> {
    const { log_length: blocks } = await this.#call(signal, 'length', () =>
      this.#ledger.icrc3_get_blocks([]),
    );
    const { num_blocks_synced: synced } = await this.#call(signal, 'status', () => this.#index.status());
    if (synced < blocks) throw unavailable('index', new Error(`${String(blocks - synced)} blocks behind`));
    const found: IndexedTransfer[] = [];
    let start: [] | [bigint] = [];
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const args: PageArgs = { account: this.wallet, max_results: PAGE, start };
      const answer: TransactionPage = await this.#call(signal, 'transactions', () =>
        this.#index.get_account_transactions(args),
      );
      if ('Err' in answer) throw unavailable('transactions', new Error(answer.Err.message));
      const { transactions } = answer.Ok;
      found.push(...transactions.flatMap(readTransfer));
      const last = transactions.at(-1);
      if (last === undefined || BigInt(transactions.length) < PAGE) return found;
      if (toMs(last.transaction.timestamp) < sinceMs) return found;
      start = [last.id];
    }
    throw unavailable('transactions', new Error('there are more than can be looked through'));
  }

  async #call<T>(signal: AbortSignal, what: string, run: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    try {
      if (this.#settings.bringsItsKey) await untilAborted(this.#agent.fetchRootKey(), signal);
      return await untilAborted(run(), signal);
    } catch (error) {
      throw unavailable(what, error);
    }
  }
}

const unavailable = (what: string, cause: unknown): AppError =>
  new AppError('PAYMENT_PROVIDER_UNAVAILABLE', `The ledger gives no usable answer (${what}).`, { cause });

const toMs = (nanoseconds: bigint): number => Number(nanoseconds / 1_000_000n);

function readTransfer({ id, transaction }: RawTransaction): IndexedTransfer[] {
  const [transfer] = transaction.transfer;
  if (transfer === undefined) return [];
  const { from, to, amount, memo } = transfer;
  return [{ block: id, atMs: toMs(transaction.timestamp), from, to, amount, memo: memo[0] ?? null }];
}

const Bytes = IDL.Vec(IDL.Nat8);
const Account = IDL.Record({ owner: IDL.Principal, subaccount: IDL.Opt(Bytes) });

/** The part of the ledger that is used. A record may have more fields than are named. */
export const ledgerIdl: IDL.InterfaceFactory = () => {
  const TransferError = IDL.Variant({
    BadFee: IDL.Record({ expected_fee: IDL.Nat }),
    BadBurn: IDL.Record({ min_burn_amount: IDL.Nat }),
    InsufficientFunds: IDL.Record({ balance: IDL.Nat }),
    TooOld: IDL.Null,
    CreatedInFuture: IDL.Record({ ledger_time: IDL.Nat64 }),
    Duplicate: IDL.Record({ duplicate_of: IDL.Nat }),
    TemporarilyUnavailable: IDL.Null,
    GenericError: IDL.Record({ error_code: IDL.Nat, message: IDL.Text }),
  });
  const Transfer = IDL.Record({
    ...{ from_subaccount: IDL.Opt(Bytes), to: Account, amount: IDL.Nat, fee: IDL.Opt(IDL.Nat) },
    ...{ memo: IDL.Opt(Bytes), created_at_time: IDL.Opt(IDL.Nat64) },
  });
  return IDL.Service({
    icrc1_transfer: IDL.Func([Transfer], [IDL.Variant({ Ok: IDL.Nat, Err: TransferError })], []),
    icrc3_get_blocks: IDL.Func(
      [IDL.Vec(IDL.Record({ start: IDL.Nat, length: IDL.Nat }))],
      [IDL.Record({ log_length: IDL.Nat })],
      [],
    ),
  });
};

/** The part of the index that is used. */
export const indexIdl: IDL.InterfaceFactory = () => {
  const Transfer = IDL.Record({ from: Account, to: Account, amount: IDL.Nat, memo: IDL.Opt(Bytes) });
  const Transaction = IDL.Record({ timestamp: IDL.Nat64, transfer: IDL.Opt(Transfer) });
  const Page = IDL.Record({
    transactions: IDL.Vec(IDL.Record({ id: IDL.Nat, transaction: Transaction })),
  });
  return IDL.Service({
    status: IDL.Func([], [IDL.Record({ num_blocks_synced: IDL.Nat })], []),
    get_account_transactions: IDL.Func(
      [IDL.Record({ account: Account, max_results: IDL.Nat, start: IDL.Opt(IDL.Nat) })],
      [IDL.Variant({ Ok: Page, Err: IDL.Record({ message: IDL.Text }) })],
      [],
    ),
  });
};
