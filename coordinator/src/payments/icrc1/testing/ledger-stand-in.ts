/**
 * A program that behaves like an ICRC-1 ledger and its index on the Internet Computer, behind the HTTP interface of a
 * subnet: signed calls, answers in certificates that its own key signs. The ledger takes a transfer once in a day.
 */
import { createPublicKey, verify } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  Cbor,
  IC_REQUEST_DOMAIN_SEPARATOR,
  IC_STATE_ROOT_DOMAIN_SEPARATOR,
  NodeType,
  reconstruct,
  requestIdOf,
  type HashTree,
} from '@icp-sdk/core/agent';
import { IDL } from '@icp-sdk/core/candid';
import { Principal } from '@icp-sdk/core/principal';
import { bls12_381 } from '@noble/curves/bls12-381.js';
import type { Clock } from '@dc/shared/clock';
import type { Icrc1Account } from '../icrc1-account.ts';
import { indexIdl, ledgerIdl, type TransferArgs } from '../icrc1-ledger.ts';

export const LEDGER_ID = 'xevnm-gaaaa-aaaar-qafnq-cai';
export const INDEX_ID = 'xrs4b-hiaaa-aaaar-qafoa-cai';
const DAY_NS = 86_400_000_000_000n;
const DRIFT_NS = 120_000_000_000n;
const DER_PREFIX = '308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100';
const bls = bls12_381.shortSignatures;
const text = (words: string): Uint8Array => new TextEncoder().encode(words);

export interface Block {
  from: Icrc1Account;
  to: Icrc1Account;
  amount: bigint;
  memo: [] | [Uint8Array];
  timestamp: bigint;
  /** What makes it single, and since when. */
  same: string;
  created: bigint;
}

/** What goes wrong with a call that changes something. `forged`: the answer is not signed by the subnet. */
export type LedgerFault = 'unavailable' | 'answer_lost' | 'forged' | 'TemporarilyUnavailable';

interface Content {
  canister_id: Uint8Array;
  method_name: string;
  arg: Uint8Array;
  sender: Uint8Array;
}
interface Envelope {
  content: Content;
  sender_pubkey: Uint8Array;
  sender_sig: Uint8Array;
}

export class LedgerStandIn {
  readonly blocks: Block[] = [];
  readonly balances = new Map<string, bigint>();
  /** What the next transfers meet. */
  readonly faults: LedgerFault[] = [];
  fee = 10_000n;
  /** How many blocks the index does not know yet. */
  lag = 0;
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #key = bls.keygen(new Uint8Array(48).fill(7)).secretKey;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/cbor' }).end(Cbor.encode(body));
    };
    if (request.url === '/api/v2/status') {
      const key = Buffer.from(bls.getPublicKey(this.#key).toBytes());
      return send(200, { root_key: new Uint8Array(Buffer.concat([Buffer.from(DER_PREFIX, 'hex'), key])) });
    }
    const envelope = Cbor.decode<Envelope>(new Uint8Array(Buffer.concat(chunks)));
    const { content } = envelope;
    const id = requestIdOf(content as unknown as Record<string, unknown>);
    if (!isSigned(envelope, id)) return send(400, {});
    const fault = content.method_name === 'icrc1_transfer' ? this.faults.shift() : undefined;
    if (fault === 'unavailable') return void response.writeHead(503).end();
    const reply = this.#execute(content, fault);
    if (fault === 'answer_lost') return void response.destroy();
    send(200, { status: 'replied', certificate: await this.#certify(id, reply, fault === 'forged') });
  }

  #execute(
    { canister_id: canister, method_name: name, arg, sender }: Content,
    fault?: LedgerFault,
  ): Uint8Array {
    const isLedger = Principal.fromUint8Array(canister).toText() === LEDGER_ID;
    const service = (isLedger ? ledgerIdl : indexIdl)({ IDL });
    const [, func] = service._fields.find(([method]) => method === name) ?? [];
    if (func === undefined) throw new Error(`there is no ${name}`);
    const [args] = IDL.decode(func.argTypes, arg);
    const from: Icrc1Account = { owner: Principal.fromUint8Array(sender), subaccount: [] };
    const answers: Record<string, () => unknown> = {
      icrc1_transfer: () => this.#transfer(from, args as unknown as TransferArgs, fault),
      icrc3_get_blocks: () => ({ log_length: BigInt(this.blocks.length) }),
      status: () => ({ num_blocks_synced: BigInt(this.blocks.length - this.lag) }),
      get_account_transactions: () => this.#transactions(args as never),
    };
    return IDL.encode(func.retTypes, [answers[name]?.()]);
  }

  #transfer(from: Icrc1Account, args: TransferArgs, fault?: LedgerFault): unknown {
    const now = BigInt(this.#clock.now()) * 1_000_000n;
    const [created] = args.created_at_time;
    const no = (name: string, detail: unknown = null) => ({ Err: { [name]: detail } });
    if (fault === 'TemporarilyUnavailable') return no('TemporarilyUnavailable');
    if (args.fee[0] !== this.fee) return no('BadFee', { expected_fee: this.fee });
    if (created + DAY_NS + DRIFT_NS < now) return no('TooOld');
    if (created > now + DRIFT_NS) return no('CreatedInFuture', { ledger_time: now });
    const same = JSON.stringify([
      nameOf(from),
      nameOf(args.to),
      `${args.amount}`,
      [...(args.memo[0] ?? [])],
      `${created}`,
    ]);
    const first = this.blocks.findIndex((block) => block.same === same);
    if (first >= 0) return no('Duplicate', { duplicate_of: BigInt(first) });
    const balance = this.balances.get(nameOf(from)) ?? 0n;
    if (balance < args.amount + this.fee) return no('InsufficientFunds', { balance });
    this.balances.set(nameOf(from), balance - args.amount - this.fee);
    this.balances.set(nameOf(args.to), (this.balances.get(nameOf(args.to)) ?? 0n) + args.amount);
    const { to, amount, memo } = args;
    this.blocks.push({ from, to, amount, memo, timestamp: now, same, created });
    return { Ok: BigInt(this.blocks.length - 1) };
  }

  #transactions({
    account,
    max_results: max,
    start,
  }: {
    account: Icrc1Account;
    max_results: bigint;
    start: [] | [bigint];
  }) {
    const transactions = this.blocks
      .map((transfer, id) => ({ id: BigInt(id), transfer }))
      .filter(({ id, transfer }) => {
        const isOurs = [transfer.from, transfer.to].some((other) => nameOf(other) === nameOf(account));
        return (
          isOurs && (start[0] === undefined || id < start[0]) && id < BigInt(this.blocks.length - this.lag)
        );
      })
      .reverse()
      .slice(0, Number(max))
      .map(({ id, transfer }) => ({
        id,
        transaction: { timestamp: transfer.timestamp, transfer: [transfer] },
      }));
    return { Ok: { transactions } };
  }

  async #certify(id: Uint8Array, reply: Uint8Array, isForged: boolean): Promise<Uint8Array> {
    const leaf = (name: string, value: Uint8Array) => [NodeType.Labeled, text(name), [NodeType.Leaf, value]];
    const status = [NodeType.Fork, leaf('reply', reply), leaf('status', text('replied'))];
    const request = [NodeType.Labeled, text('request_status'), [NodeType.Labeled, id, status]];
    // The agent holds it against the real time.
    const time = leaf('time', leb128(BigInt(Date.now()) * 1_000_000n));
    const tree = [NodeType.Fork, request, time] as unknown as HashTree;
    const root = Buffer.concat([IC_STATE_ROOT_DOMAIN_SEPARATOR, await reconstruct(tree)]);
    const key = isForged ? bls.keygen(new Uint8Array(48).fill(8)).secretKey : this.#key;
    const signature = bls.Signature.toBytes(bls.sign(bls.hash(new Uint8Array(root)), key));
    return Cbor.encode({ tree, signature });
  }
}

/** An account as a key of maps. */
export const nameOf = ({ owner, subaccount: [bytes] }: Icrc1Account): string =>
  `${owner.toText()}.${Buffer.from(bytes ?? new Uint8Array(32)).toString('hex')}`;

/** As a subnet checks it: the key is the sender's, and has signed this very request. */
function isSigned({ content, sender_pubkey: der, sender_sig: signature }: Envelope, id: Uint8Array): boolean {
  const isSender =
    Principal.selfAuthenticating(der).toText() === Principal.fromUint8Array(content.sender).toText();
  const key = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
  return isSender && verify(null, Buffer.concat([IC_REQUEST_DOMAIN_SEPARATOR, id]), key, signature);
}

function leb128(value: bigint): Uint8Array {
  const bytes: number[] = [];
  for (let left = value; ; left >>= 7n) {
    const seven = Number(left & 127n);
    if (left < 128n) return Uint8Array.from([...bytes, seven]);
    bytes.push(seven | 128);
  }
}
