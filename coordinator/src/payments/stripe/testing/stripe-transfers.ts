/**
 * What the stand-in for Stripe knows of connected accounts and transfers to them. As Stripe does, it refuses transfers
 * to accounts that cannot take them, and what the platform's balance does not hold.
 */
import type { Clock } from '@dc/shared/clock';
import { StripeRefusal, type Json } from './stripe-books.ts';

export interface Transfer extends Json {
  id: string;
  amount: number;
  amount_reversed: number;
  currency: string;
  destination: string;
  reversed: boolean;
  metadata: Record<string, string>;
  transfer_group: string | null;
}

const refuse = (code: string, status = 400): StripeRefusal =>
  new StripeRefusal(status, 'invalid_request_error', code);

export class StripeTransfers {
  /** By id; the value is the state of the capability to take transfers. */
  readonly accounts = new Map<string, 'active' | 'inactive' | 'pending'>();
  readonly transfers = new Map<string, Transfer>();
  /** What can be transferred, in minor units of any currency. */
  available = 100_000_000;
  readonly #clock: Clock;
  readonly #emit: (type: string, object: Json) => void;

  constructor(clock: Clock, emit: (type: string, object: Json) => void) {
    this.#clock = clock;
    this.#emit = emit;
  }

  /** What has gone to the accounts and not come back. */
  sent(currency: string): number {
    return [...this.transfers.values()]
      .filter((transfer) => transfer.currency === currency)
      .reduce((sum, { amount, amount_reversed: back }) => sum + amount - back, 0);
  }

  account(id: string): Json {
    const transfers = this.accounts.get(id);
    if (transfers === undefined) throw refuse('account_invalid', 403);
    return { id, object: 'account', capabilities: { transfers }, type: 'express' };
  }

  create(body: Json): Transfer {
    const amount = Number(body['amount']);
    const destination = String(body['destination']);
    const capability = this.accounts.get(destination);
    if (capability === undefined) throw refuse('resource_missing');
    if (capability !== 'active') throw refuse('insufficient_capabilities_for_transfer');
    if (!Number.isInteger(amount) || amount <= 0) throw refuse('parameter_invalid_integer');
    if (amount > this.available) throw refuse('balance_insufficient');
    this.available -= amount;
    const id = `tr_${String(this.transfers.size + 1).padStart(14, '0')}`;
    const transfer: Transfer = {
      ...{ id, object: 'transfer', livemode: false, created: Math.floor(this.#clock.now() / 1000) },
      ...{ amount, amount_reversed: 0, currency: String(body['currency']), destination },
      ...{ balance_transaction: null, description: null, source_transaction: null, source_type: 'card' },
      ...{ destination_payment: `py_${id}`, reversed: false },
      reversals: { object: 'list', data: [], has_more: false, url: `/v1/transfers/${id}/reversals` },
      metadata: (body['metadata'] ?? {}) as Record<string, string>,
      transfer_group: (body['transfer_group'] as string | undefined) ?? null,
    };
    this.transfers.set(id, transfer);
    this.#emit('transfer.created', transfer);
    return transfer;
  }

  find(id: string): Transfer {
    const transfer = this.transfers.get(id);
    if (transfer === undefined) throw refuse('resource_missing', 404);
    return transfer;
  }

  list(body: Json): Transfer[] {
    const group = body['transfer_group'];
    return [...this.transfers.values()]
      .filter(({ transfer_group }) => group === undefined || transfer_group === group)
      .reverse();
  }

  /** Somebody takes it back, in the dashboard. */
  reverse(id: string, amount: number): void {
    const transfer = this.find(id);
    transfer.amount_reversed += amount;
    transfer.reversed = transfer.amount_reversed >= transfer.amount;
    this.available += amount;
    this.#emit('transfer.reversed', transfer);
  }
}
