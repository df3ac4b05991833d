/**
 * A payment provider of the simulation's own, which behaves as the real ones do: a checkout for each payment, money
 * that comes late or is only authorised at first, events that come twice, out of order or never, answers that get
 * lost, refunds that are on their way for a while. It knows better than the coordinator what was really paid.
 */
import { AppError, isAppError } from '@dc/shared/errors';
import { takeEvent } from '../../coordinator/src/payments/payment-facts.ts';
import type {
  OnlinePayments,
  OpenedPayment,
  PaymentAsk,
  PaymentFact,
  PaymentProvider,
  PaymentRefs,
  PaymentStatus,
  ProviderEvent,
  ProviderFact,
  RefundAnswer,
  RefundFact,
  RefundRequest,
  RefundStatus,
} from '../../coordinator/src/payments/payment-provider.ts';
import type { CoordinatorNode } from './coordinator-node.ts';
import type { Dice } from './dice.ts';
import type { World } from './world.ts';

const NOTICE_AGAIN_MS = 7_000;

/** A checkout, and what became of it. */
interface Checkout {
  readonly ask: PaymentAsk;
  readonly id: string;
  status: PaymentStatus;
  readonly refunds: HouseRefund[];
}

interface HouseRefund {
  readonly id: string;
  readonly key: string;
  readonly amountE9s: bigint;
  status: RefundStatus;
}

/** Whether the payer's money is, or was, at the house. */
const HAS_MONEY: readonly PaymentStatus[] = ['authorised', 'paid'];

/** What has really gone back of a checkout. In nano-units. */
const sentBackE9s = ({ refunds }: Checkout): bigint =>
  refunds.reduce((sum, { amountE9s, status }) => sum + (status === 'failed' ? 0n : amountE9s), 0n);

/** What the house holds of a checkout's money. In nano-units. */
export function keptE9s(checkout: Checkout): bigint {
  return HAS_MONEY.includes(checkout.status) ? checkout.ask.amount.amountE9s - sentBackE9s(checkout) : 0n;
}

export class PaymentHouse implements PaymentProvider {
  readonly method = 'house';
  /** By the key that the coordinator gave: `contract:…`, `extension:…`. */
  readonly checkouts = new Map<string, Checkout>();
  readonly online: OnlinePayments;
  readonly #world: World;
  readonly #dice: Dice;
  /** What payers want to do as soon as there is a checkout. */
  readonly #wishes = new Map<string, () => void>();
  /** Every event that was ever made. */
  readonly #events: ProviderEvent[] = [];
  #numbers = 0;
  /** Where its events go. */
  coordinator: CoordinatorNode | null = null;

  constructor(world: World) {
    this.#world = world;
    this.#dice = world.dice.fork('payments');
    this.online = {
      capabilities: { topsUp: false, stepE9s: () => 1n, repeatsRefunds: true },
      create: (ask, signal) => this.#answer('create', signal, () => this.#create(ask)),
      readEvent: ({ body }) => this.#read(Buffer.from(body).toString('utf8')),
      readFacts: (body) => this.#read(body),
      fetchTruth: (refs, signal) => this.#answer('look', signal, () => factsOf(this.#known(refs))),
      capture: (refs, signal) => this.#answer('capture', signal, () => this.#capture(refs)),
      close: (refs, signal) => this.#answer('close', signal, () => this.#close(refs)),
    };
  }

  /** Whether a payment or a refund is on its way, which takes seconds here and days in the world. */
  get isBusy(): boolean {
    return [...this.checkouts.values()].some(
      ({ status, refunds }) =>
        status === 'processing' || refunds.some((refund) => refund.status === 'pending'),
    );
  }

  settleAtOnce(): null {
    return null;
  }

  /** Idempotent by its key, as Stripe's are by what they carry. */
  refund(request: RefundRequest, signal: AbortSignal): Promise<RefundAnswer> {
    return this.#answer('refund', signal, () => this.#refund(request));
  }

  /** The payer pays, as soon as there is a checkout; nothing where that cannot be paid any more. */
  pay(key: string): void {
    this.#whenOpen(key, (checkout) => {
      if (!['open', 'failed'].includes(checkout.status)) return;
      if (!this.#dice.chance(0.15)) return this.#arrive(checkout);
      this.#move(checkout, 'processing');
      this.#world.time.schedule(this.#dice.between(5_000, 150_000), () => {
        if (checkout.status === 'processing') this.#arrive(checkout);
      });
    });
  }

  /** The payer's bank refuses. */
  fail(key: string): void {
    this.#whenOpen(key, (checkout) => {
      if (checkout.status !== 'open' && checkout.status !== 'processing') return;
      this.#world.fault('payment fails', 'payments', key);
      this.#move(checkout, 'failed');
    });
  }

  /** Sends every event once more, as an operator makes it do after an older backup was restored. */
  tellAgain(): void {
    for (const event of this.#events)
      this.#world.time.schedule(this.#dice.between(0, 20_000), () => this.#deliver(event));
  }

  #whenOpen(key: string, act: (checkout: Checkout) => void): void {
    const checkout = this.checkouts.get(key);
    if (checkout !== undefined) return act(checkout);
    const before = this.#wishes.get(key);
    this.#wishes.set(key, () => {
      before?.();
      const opened = this.checkouts.get(key);
      if (opened !== undefined) act(opened);
    });
  }

  /** Answers after a while; sometimes it fails before it did anything, or its answer is lost. */
  async #answer<T>(what: string, signal: AbortSignal, act: () => T): Promise<T> {
    const isFaulty = this.#world.isFaulty && this.#dice.chance(0.08);
    const isDone = !isFaulty || this.#dice.chance(0.5);
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new AppError('PAYMENT_PROVIDER_UNAVAILABLE')), {
        once: true,
      });
      this.#world.time.schedule(this.#dice.between(20, 3_000), resolve);
    });
    const result = isDone ? act() : undefined;
    if (!isFaulty && result !== undefined) return result;
    this.#world.fault(isDone ? `${what} answer lost` : `${what} fails`, 'payments');
    throw new AppError('PAYMENT_PROVIDER_UNAVAILABLE');
  }

  #known({ key, externalId }: PaymentRefs): Checkout {
    const checkout = this.checkouts.get(key);
    if (checkout === undefined || (externalId !== null && externalId !== checkout.id))
      throw new AppError('PAYMENT_REFUSED', `${key} is not known here.`);
    return checkout;
  }

  #create(ask: PaymentAsk): OpenedPayment {
    let checkout = this.checkouts.get(ask.key);
    if (checkout === undefined) {
      checkout = { ask, id: this.#nextId('checkout'), status: 'open', refunds: [] };
      this.checkouts.set(ask.key, checkout);
      this.#world.time.schedule(this.#dice.between(50, 500), () => {
        this.#wishes.get(ask.key)?.();
        this.#wishes.delete(ask.key);
      });
    }
    return { externalId: checkout.id, paymentRef: null, checkoutUrl: `https://house.test/${checkout.id}` };
  }

  #arrive(checkout: Checkout): void {
    const isAuthorised = checkout.ask.isForDelivery && this.#dice.chance(0.5);
    this.#world.note('payments', `${checkout.ask.key} is paid`);
    this.#move(checkout, isAuthorised ? 'authorised' : 'paid');
  }

  #capture(refs: PaymentRefs): ProviderFact[] {
    const checkout = this.#known(refs);
    if (checkout.status === 'authorised') this.#move(checkout, 'paid');
    return factsOf(checkout);
  }

  #close(refs: PaymentRefs): ProviderFact[] {
    const checkout = this.#known(refs);
    if (checkout.status === 'open' || checkout.status === 'failed') this.#move(checkout, 'expired');
    return factsOf(checkout);
  }

  #refund({ key, amount, payment }: RefundRequest): RefundAnswer {
    if (payment === undefined) throw new Error('a refund of the house names its payment');
    const checkout = this.#known(payment);
    const { refunds, ask } = checkout;
    const voided = { id: `void:${checkout.id}`, status: 'succeeded' } as const;
    if (checkout.status === 'voided') return voided;
    const known = refunds.find((refund) => refund.key === key);
    if (known !== undefined) return { id: known.id, status: known.status };
    if (checkout.status === 'authorised' && amount.amountE9s === ask.amount.amountE9s) {
      this.#move(checkout, 'voided');
      return voided;
    }
    if (checkout.status === 'authorised') this.#move(checkout, 'paid');
    const isSlow = this.#dice.chance(0.2);
    const refund: HouseRefund = {
      ...{ id: this.#nextId('refund'), key, amountE9s: amount.amountE9s },
      status: isSlow ? 'pending' : 'succeeded',
    };
    refunds.push(refund);
    if (!HAS_MONEY.includes(checkout.status) || sentBackE9s(checkout) > ask.amount.amountE9s)
      this.#world.violate('I3', `${ask.key} got more back than was paid, lastly ${String(amount.amountE9s)}`);
    if (isSlow)
      this.#world.time.schedule(this.#dice.between(1_000, 60_000), () => this.#end(checkout, refund));
    else this.#emit(refundFact(checkout, refund));
    return { id: refund.id, status: refund.status };
  }

  /** A refund that was on its way has arrived, or comes back because the payer's card is gone. */
  #end(checkout: Checkout, refund: HouseRefund): void {
    refund.status = this.#world.isFaulty && this.#dice.chance(0.1) ? 'failed' : 'succeeded';
    if (refund.status === 'failed') this.#world.fault('refund comes back', 'payments', checkout.ask.key);
    this.#emit(refundFact(checkout, refund));
  }

  #move(checkout: Checkout, status: PaymentStatus): void {
    checkout.status = status;
    this.#emit(paymentFact(checkout));
  }

  #nextId(what: string): string {
    this.#numbers += 1;
    return `${what}-${String(this.#numbers)}`;
  }

  #read(body: string): ProviderEvent {
    const event = this.#events.find(({ id }) => id === body);
    if (event === undefined) throw new AppError('WEBHOOK_SIGNATURE_INVALID');
    return event;
  }

  #emit(fact: ProviderFact): void {
    const event = { id: this.#nextId('event'), type: fact.about, facts: [fact] };
    this.#events.push(event);
    const { time, isFaulty } = this.#world;
    if (isFaulty && this.#dice.chance(0.05)) {
      this.#world.fault('event lost', 'payments', event.id);
      return;
    }
    time.schedule(isFaulty ? this.#dice.between(0, 2_000) : 10, () => this.#deliver(event));
    if (!isFaulty || !this.#dice.chance(0.3)) return;
    this.#world.fault('event twice', 'payments', event.id);
    time.schedule(this.#dice.between(0, 90_000), () => this.#deliver(event));
  }

  /** Until the coordinator has taken it. */
  #deliver(event: ProviderEvent): void {
    this.coordinator
      ?.within(({ context }) =>
        context.db.write((trx) => takeEvent(context, trx, this, { event, body: event.id })),
      )
      .catch((error: unknown) => {
        if (isAppError(error) && error.isRetryable)
          this.#world.time.schedule(NOTICE_AGAIN_MS, () => this.#deliver(event));
        else this.#world.violate('I3', `the event ${event.id} was refused: ${String(error)}`);
      });
  }
}

function refsOf({ ask, id }: Checkout): PaymentFact['refs'] {
  return { key: ask.key, externalId: id, paymentRef: null, chargeRef: null };
}

function paymentFact(checkout: Checkout): PaymentFact {
  const { ask, status } = checkout;
  return { about: 'payment', refs: refsOf(checkout), status, amount: ask.amount, taxE9s: 0n, reason: null };
}

function refundFact(checkout: Checkout, { id, key, amountE9s, status }: HouseRefund): RefundFact {
  const amount = { amountE9s, currency: checkout.ask.amount.currency };
  return { about: 'refund', id, refs: refsOf(checkout), refundKey: key, status, amount, reason: null };
}

const factsOf = (checkout: Checkout): ProviderFact[] => [
  paymentFact(checkout),
  ...checkout.refunds.map((refund) => refundFact(checkout, refund)),
];
