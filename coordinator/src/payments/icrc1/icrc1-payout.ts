/**
 * Payouts as ICRC-1 transfers from the platform's wallet. The ledger takes a transfer with the same time, memo, amount
 * and account once, for a day; a refusal as a duplicate names the first one, and is a success.
 */
import { createHash } from 'node:crypto';
import { AppError } from '@dc/shared/errors';
import { formatMoney, type Money } from '@dc/shared/money/money';
import type { CoordinatorConfig } from '../../config/config.ts';
import type { Reader } from '../../database/database.ts';
import { findRate } from '../../prices/token-price.ts';
import type { AskAnswer, MadeTransfer, PayoutRoute, TransferAsk } from '../payout-route.ts';
import { isSameAccount, parseAccount } from './icrc1-account.ts';
import { Icrc1Ledger, type Icrc1Settings } from './icrc1-ledger.ts';

/** The token that is paid with. */
export interface Icrc1Token {
  symbol: string;
  decimals: number;
  /** Base units that the ledger takes for a transfer: out of what is sent. */
  feeUnits: bigint;
}

interface Terms {
  units: string;
  fee_units: string;
  token: string;
  rate_e9s: string;
}

/** Further back than an ask can be carried out. */
const LOOKED_BACK_MS = 3 * 86_400_000;

/** The payout route `icrc1`. */
export function createIcrc1Payout(
  settings: Icrc1Settings,
  token: Icrc1Token,
  prices: CoordinatorConfig['prices'],
): PayoutRoute {
  const ledger = new Icrc1Ledger(settings);
  const made = (ask: TransferAsk, signal: AbortSignal) => listMade(ledger, ask, signal);
  return {
    method: 'icrc1',
    assertAccount: (account) => void parseAccount(account),
    quote: (reader, owed, now) => quote(reader, owed, { token, prices, now }),
    ask: async (ask, signal) => readAnswer(await ledger.transfer(argsOf(ask), signal)),
    tagOf: (key) => memoOf(key).toString('hex'),
    made,
    async look(ask, reference, signal) {
      const known = await made(ask, signal);
      const tag = memoOf(ask.key).toString('hex');
      const hasArrived = known.some((other) => other.reference === reference && other.tag === tag);
      return { hasArrived, reversed: { amountE9s: 0n, currency: ask.amount.currency } };
    },
  };
}

/** All of it, at the rate that the sources agree on now; what the ledger takes comes out of it. */
async function quote(
  reader: Reader,
  owed: Money,
  { token, prices, now }: { token: Icrc1Token; prices: CoordinatorConfig['prices']; now: number },
): Promise<{ pays: Money; terms: Terms }> {
  const pair = { token: token.symbol, currency: owed.currency };
  const { rateE9s, problem } = await findRate(reader, pair, { config: prices, now });
  if (rateE9s === null)
    throw new AppError(
      'TOKEN_RATE_STALE',
      `What ${token.symbol} costs is not known well enough: ${problem ?? ''}.`,
    );
  const units = (owed.amountE9s * 10n ** BigInt(token.decimals)) / rateE9s - token.feeUnits;
  if (units <= 0n)
    throw new AppError(
      'PAYMENT_AMOUNT_UNSUPPORTED',
      `${formatMoney(owed)} is less than the fee of the ledger.`,
    );
  const fee_units = String(token.feeUnits);
  return {
    pays: owed,
    terms: { units: String(units), fee_units, token: token.symbol, rate_e9s: String(rateE9s) },
  };
}

/** Exactly the same for the same ask: that is what makes it single. */
function argsOf({ key, destination, terms, askedAt }: TransferAsk): Parameters<Icrc1Ledger['transfer']>[0] {
  const { units, fee_units: feeUnits } = terms as Terms;
  return {
    from_subaccount: [],
    to: parseAccount(destination),
    amount: BigInt(units),
    fee: [BigInt(feeUnits)],
    memo: [memoOf(key)],
    created_at_time: [BigInt(askedAt) * 1_000_000n],
  };
}

const memoOf = (key: string): Buffer => createHash('sha256').update(key).digest();

function readAnswer(result: Awaited<ReturnType<Icrc1Ledger['transfer']>>): AskAnswer {
  if ('Ok' in result) return { outcome: 'sent', reference: String(result.Ok) };
  const [name = '', detail] = Object.entries(result.Err)[0] ?? [];
  const waits = (reason: string): AskAnswer => ({ outcome: 'not_now', isSpent: false, reason });
  switch (name) {
    case 'Duplicate':
      return { outcome: 'sent', reference: String(detail?.['duplicate_of']) };
    case 'TooOld':
      return { outcome: 'not_now', isSpent: true, reason: 'The ledger finds the transfer too old.' };
    case 'InsufficientFunds':
      return waits(`The wallet holds only ${String(detail?.['balance'])} base units.`);
    case 'CreatedInFuture':
      return waits('Our clock is ahead of the ledger’s.');
    case 'BadFee':
      return {
        outcome: 'refused',
        reason: `The ledger’s fee is ${String(detail?.['expected_fee'])} base units: set payouts.icrc1.transfer_fee.`,
      };
    case 'BadBurn':
      return { outcome: 'refused', reason: 'The destination is the ledger’s own account.' };
    default:
      return waits('The ledger does not take transfers at the moment.');
  }
}

async function listMade(ledger: Icrc1Ledger, ask: TransferAsk, signal: AbortSignal): Promise<MadeTransfer[]> {
  const to = parseAccount(ask.destination);
  const transfers = await ledger.transfersSince(ask.askedAt - LOOKED_BACK_MS, signal);
  return transfers
    .filter((transfer) => isSameAccount(transfer.from, ledger.wallet) && isSameAccount(transfer.to, to))
    .map(({ block, memo }) => ({
      // What an operator sends by hand has no such memo.
      tag: memo?.length === MEMO_BYTES ? Buffer.from(memo).toString('hex') : null,
      reference: String(block),
    }));
}

const MEMO_BYTES = 32;
