/**
 * The port to a way of paying providers that needs no person: Stripe Connect, ICRC-1. The manual way has none. What is
 * asked for is a row before anybody is asked, so that the same can be asked again; docs/decisions/payouts.md.
 */
import type { Money } from '@dc/shared/money/money';
import type { Reader } from '../database/database.ts';

/** The automatic routes, and the processor whose money each sends; a route that is none is paid by hand from itself. */
const PROCESSORS: Readonly<Record<string, string>> = { stripe_connect: 'stripe', icrc1: 'icpay' };

/** Whether payouts of this route are sent by themselves. */
export const isAutomatic = (route: string): boolean => Object.hasOwn(PROCESSORS, route);

/** Whose money leaves. */
export const processorOf = (route: string): string =>
  (isAutomatic(route) ? PROCESSORS[route] : null) ?? route;

/** A transfer as it is asked for; equal ones are carried out once, for as long as the route remembers. */
export interface TransferAsk {
  /** The payout's. */
  key: string;
  provider: string;
  amount: Money;
  /** What the route said of the amount when the payout was requested. */
  terms: unknown;
  destination: string;
  askedAt: number;
}

/**
 * `refused`: nothing was sent, and will not be. `not_now`: nothing was sent; the same is asked for again, or something
 * new where this ask `isSpent`, and certainly cannot be carried out any more. What is not known is thrown.
 */
export type AskAnswer =
  | { outcome: 'sent'; reference: string }
  | { outcome: 'refused'; reason: string }
  | { outcome: 'not_now'; reason: string; isSpent: boolean };

/** A transfer that was made, whoever asked for it. */
export interface MadeTransfer {
  /** `tagOf` its payout's key; null for one that is not from here. */
  tag: string | null;
  reference: string;
}

/** How a transfer stands. */
export interface TransferStanding {
  hasArrived: boolean;
  /** What came back of it. */
  reversed: Money;
}

export interface PayoutRoute {
  /** The name that the payout keeps. */
  readonly method: string;
  /** Throws REQUEST_INVALID for what is no account of this route. */
  assertAccount(account: string): void;
  /**
   * How much of `owed` can be sent, and what has to be kept for it. Inside a transaction. Throws
   * PAYMENT_AMOUNT_UNSUPPORTED, TOKEN_RATE_STALE.
   */
  quote(reader: Reader, owed: Money, now: number): Promise<{ pays: Money; terms: unknown }>;
  /** Asks for it. An equal ask within a day is the same transfer. Throws PAYMENT_PROVIDER_UNAVAILABLE. */
  ask(ask: TransferAsk, signal: AbortSignal): Promise<AskAnswer>;
  /** What a transfer of this payout carries. */
  tagOf(key: string): string;
  /** The transfers to this provider that were made lately. Throws PAYMENT_PROVIDER_UNAVAILABLE. */
  made(ask: TransferAsk, signal: AbortSignal): Promise<readonly MadeTransfer[]>;
  /** How a transfer stands. Throws PAYMENT_PROVIDER_UNAVAILABLE. */
  look(ask: TransferAsk, reference: string, signal: AbortSignal): Promise<TransferStanding>;
}

/** The configured ones, by their method. */
export type PayoutRoutes = ReadonlyMap<string, PayoutRoute>;
