/** Pure decisions about payments that are made elsewhere: what may follow what, and when to ask again. */
import type { PaymentStatus } from './payment-provider.ts';

/**
 * `asked`: the provider does not know of it yet; `open`: it can be paid; `processing`: paid by a method that takes
 * days; `authorised`: ours to take; `paid`; `failed` and `closed`: nothing came; `voided`: given up, or lost, after it
 * was authorised.
 */
export type PaymentRowState =
  'asked' | 'open' | 'processing' | 'authorised' | 'paid' | 'failed' | 'closed' | 'voided';

/** What a fact means for our books. */
export type PaymentStep =
  | 'arrived' // the money is ours to take, or taken: book it
  | 'captured' // what was authorised is taken
  | 'failed' // nothing will come
  | 'lost' // what had arrived is gone
  | 'moved' // nothing to book
  | 'nothing';

/** What follows from a fact. The later state wins, whatever the order in which facts come. */
export function nextPayment(
  state: PaymentRowState,
  status: PaymentStatus,
): { state: PaymentRowState; step: PaymentStep } {
  const nothing = { state, step: 'nothing' } as const;
  const hasArrived = state === 'authorised' || state === 'paid' || state === 'voided';
  switch (status) {
    case 'paid':
      if (state === 'authorised') return { state: 'paid', step: 'captured' };
      return hasArrived ? nothing : { state: 'paid', step: 'arrived' };
    case 'authorised':
      return hasArrived ? nothing : { state: 'authorised', step: 'arrived' };
    case 'voided':
      if (state === 'authorised') return { state: 'voided', step: 'lost' };
      return isWaiting(state) ? { state: 'failed', step: 'failed' } : nothing;
    case 'processing':
      return state === 'asked' || state === 'open' ? { state: 'processing', step: 'moved' } : nothing;
    case 'failed':
      return isWaiting(state) ? { state: 'failed', step: 'failed' } : nothing;
    case 'expired':
      return isWaiting(state) ? { state: 'closed', step: 'failed' } : nothing;
    case 'open':
      return state === 'asked' ? { state: 'open', step: 'moved' } : nothing;
  }
}

/** Whether the money may still come. */
export function isWaiting(state: PaymentRowState): boolean {
  return state === 'asked' || state === 'open' || state === 'processing';
}

const FIRST_LOOK_MS = 60_000;
const LOOK_MS_MAX = 60 * 60_000;

/**
 * When to ask the provider for the truth, where no event has brought it: after a minute, then twice as late each time,
 * at least hourly. Null where nothing can change any more.
 */
export function nextLookAt(state: PaymentRowState, looks: number, now: number): number | null {
  if (!isWaiting(state) && state !== 'authorised') return null;
  return now + Math.min(LOOK_MS_MAX, FIRST_LOOK_MS * 2 ** Math.min(looks, 10));
}
