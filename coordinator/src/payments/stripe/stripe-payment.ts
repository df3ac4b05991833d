/**
 * Stripe: Checkout Sessions, authorised until delivery is verified, through the official library. Facts are read by
 * stripe-events.ts; this file only asks. docs/decisions/payments.md says why it asks as it does.
 */
import Stripe from 'stripe';
import { AppError } from '@dc/shared/errors';
import type {
  OnlinePayments,
  OpenedPayment,
  PaymentAsk,
  PaymentProvider,
  PaymentRefs,
  ProviderEvent,
  ProviderFact,
  RefundAnswer,
  RefundRequest,
  WebhookDelivery,
} from '../payment-provider.ts';
import { untilAborted } from '@dc/shared/until-aborted';
import { assertTimedSignature } from '../webhook-signature.ts';
import { stepE9s, toMinorUnits } from './minor-units.ts';
import { asProviderError, isRefusal } from './stripe-errors.ts';
import {
  KEY_FIELD,
  readRefund,
  readSession,
  readStripeEvent,
  refundStatus,
  REFUND_KEY_FIELD,
  TAX_FIELD,
} from './stripe-events.ts';

/** The version of Stripe's API that this program was written against: theirs for the pinned library. */
export const STRIPE_API_VERSION = '2026-10-28.endive';

const CALL_TIMEOUT_MS = 20_000;
const EXPANDED = { expand: ['payment_intent'] };

/** What the Stripe provider is made of. */
export interface StripeSettings {
  secretKey: string;
  /** Of our webhook endpoint; several while one is exchanged for another. */
  webhookSecrets: readonly string[];
  /** Where Stripe is: its own address, or a stand-in on loopback. */
  apiBase: string;
  /** Whether money is taken when delivery is verified, or at once. */
  capture: 'at_delivery' | 'at_once';
  automaticTax: boolean;
  invoices: boolean;
  /** Our own address, for the way back. */
  publicUrl: string;
}

/** A client of Stripe's API at `apiBase`. It tries once: whoever calls knows when to try again. */
export function createStripeClient({
  secretKey,
  apiBase,
}: Pick<StripeSettings, 'secretKey' | 'apiBase'>): Stripe {
  const { protocol, hostname, port } = new URL(apiBase);
  return new Stripe(secretKey, {
    apiVersion: STRIPE_API_VERSION,
    host: hostname,
    ...(port === '' ? {} : { port }),
    protocol: protocol === 'http:' ? 'http' : 'https',
    telemetry: false,
    maxNetworkRetries: 0,
    timeout: CALL_TIMEOUT_MS,
    httpClient: Stripe.createNodeHttpClient(),
  });
}

/** The payment method `stripe`. */
export function createStripePayment(settings: StripeSettings): PaymentProvider {
  const online = new StripePayments(settings);
  return {
    method: 'stripe',
    online,
    settleAtOnce: () => null,
    refund: (request, signal) => online.refund(request, signal),
  };
}

class StripePayments implements OnlinePayments {
  readonly capabilities = { topsUp: true, stepE9s, repeatsRefunds: true };
  readonly #settings: StripeSettings;
  readonly #stripe: Stripe;

  constructor(settings: StripeSettings) {
    this.#settings = settings;
    this.#stripe = createStripeClient(settings);
  }

  async create(ask: PaymentAsk, signal: AbortSignal): Promise<OpenedPayment> {
    const params = this.#sessionOf(ask);
    const session = await call(signal, 'create', () =>
      this.#stripe.checkout.sessions.create(params, { idempotencyKey: `dc:create:${ask.key}` }),
    );
    const intent = session.payment_intent;
    return {
      externalId: session.id,
      paymentRef: typeof intent === 'string' ? intent : (intent?.id ?? null),
      checkoutUrl: session.url,
    };
  }

  #sessionOf(ask: PaymentAsk): Stripe.Checkout.SessionCreateParams {
    const { automaticTax, invoices, capture, publicUrl } = this.#settings;
    const metadata = { [KEY_FIELD]: ask.key, ...(automaticTax ? { [TAX_FIELD]: 'exclusive' } : {}) };
    const back = `${publicUrl}/pay/return?payment=${encodeURIComponent(ask.key)}`;
    return {
      mode: 'payment',
      client_reference_id: ask.key,
      metadata,
      line_items: [
        {
          quantity: 1,
          price_data: {
            currency: ask.amount.currency.toLowerCase(),
            unit_amount: toMinorUnits(ask.amount),
            product_data: { name: ask.description },
            ...(automaticTax ? { tax_behavior: 'exclusive' } : {}),
          },
        },
      ],
      payment_intent_data: {
        metadata,
        description: ask.description,
        ...(ask.isForDelivery && capture === 'at_delivery' ? { capture_method: 'manual' } : {}),
      },
      success_url: back,
      cancel_url: `${back}&cancelled=1`,
      expires_at: Math.floor(ask.expiresAt / 1000),
      ...(ask.email === null ? {} : { customer_email: ask.email }),
      ...(automaticTax ? { automatic_tax: { enabled: true } } : {}),
      ...(invoices ? { invoice_creation: { enabled: true, invoice_data: { metadata } } } : {}),
    };
  }

  readEvent({ headers, body, now }: WebhookDelivery): ProviderEvent {
    assertTimedSignature({ header: headers['stripe-signature'], body, now }, this.#settings.webhookSecrets);
    return this.readFacts(Buffer.from(body).toString('utf8'));
  }

  readFacts(body: string): ProviderEvent {
    const event = JSON.parse(body) as Partial<{ id: string; type: string; data: { object: unknown } }>;
    const { id, type, data } = event;
    if (typeof id !== 'string' || typeof type !== 'string' || typeof data?.object !== 'object')
      throw new AppError('REQUEST_INVALID', 'This is no event of Stripe.');
    return { id, type, ...readStripeEvent(type, data.object) };
  }

  async fetchTruth(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]> {
    const session = await this.#session(refs, signal);
    const intent = session.payment_intent;
    const intentId = typeof intent === 'string' ? intent : intent?.id;
    const refunds = intentId === undefined ? [] : await this.#refunds(intentId, signal);
    return [...readSession(session), ...refunds.flatMap(readRefund)];
  }

  async capture(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]> {
    const intent = await this.#intent(refs, signal);
    if (intent?.status === 'requires_capture') await this.#take(intent.id, refs.key, signal);
    return this.fetchTruth(refs, signal);
  }

  #take(intentId: string, key: string, signal: AbortSignal): Promise<Stripe.PaymentIntent> {
    const options = { idempotencyKey: `dc:capture:${key}` };
    return call(signal, 'capture', () => this.#stripe.paymentIntents.capture(intentId, {}, options));
  }

  async close(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]> {
    const session = await this.#session(refs, signal);
    if (session.status !== 'open') return this.fetchTruth(refs, signal);
    const options = { idempotencyKey: `dc:close:${refs.key}` };
    try {
      return readSession(
        await call(signal, 'close', () => this.#stripe.checkout.sessions.expire(session.id, {}, options)),
      );
    } catch (error) {
      // Somebody paid in between: then that is how it stands.
      if (isRefusal(error)) return this.fetchTruth(refs, signal);
      throw error;
    }
  }

  /**
   * Gives back what was taken, or gives up what was only authorised. Stripe forgets idempotency keys after a day: ours
   * is in the refund's metadata too, and looked for first.
   */
  async refund(request: RefundRequest, signal: AbortSignal): Promise<RefundAnswer> {
    const { key, amount, payment } = request;
    if (payment === undefined) throw new Error('a refund of Stripe names its payment');
    const intent = await this.#intent(payment, signal);
    if (intent === null)
      throw new AppError('PAYMENT_PROVIDER_UNAVAILABLE', 'Stripe does not know this payment.');
    const minor = toMinorUnits(amount);
    const voided = { id: `void:${intent.id}`, status: 'succeeded' } as const;
    if (intent.status === 'canceled') return voided;
    if (intent.status === 'requires_capture') {
      if (minor >= intent.amount_capturable) {
        const options = { idempotencyKey: `dc:void:${key}` };
        await call(signal, 'void', () => this.#stripe.paymentIntents.cancel(intent.id, {}, options));
        return voided;
      }
      await this.#take(intent.id, payment.key, signal);
    }
    const known = (await this.#refunds(intent.id, signal)).find(
      ({ metadata }) => metadata?.[REFUND_KEY_FIELD] === key,
    );
    const params = { payment_intent: intent.id, amount: minor, metadata: { [REFUND_KEY_FIELD]: key } };
    const made =
      known ??
      (await call(signal, 'refund', () =>
        this.#stripe.refunds.create(params, { idempotencyKey: `dc:refund:${key}` }),
      ));
    return { id: made.id, status: refundStatus(made.status) };
  }

  #session(refs: PaymentRefs, signal: AbortSignal): Promise<Stripe.Checkout.Session> {
    const { externalId } = refs;
    if (externalId === null) throw new Error('the payment was not opened yet');
    return call(signal, 'session', () => this.#stripe.checkout.sessions.retrieve(externalId, EXPANDED));
  }

  async #intent(refs: PaymentRefs, signal: AbortSignal): Promise<Stripe.PaymentIntent | null> {
    const { paymentRef } = refs;
    if (paymentRef !== null)
      return call(signal, 'payment', () => this.#stripe.paymentIntents.retrieve(paymentRef));
    const { payment_intent: intent } = await this.#session(refs, signal);
    return typeof intent === 'string' || intent === null ? null : intent;
  }

  async #refunds(intentId: string, signal: AbortSignal): Promise<Stripe.Refund[]> {
    const params = { payment_intent: intentId, limit: 100 };
    const page = await call(signal, 'refunds', () => this.#stripe.refunds.list(params));
    return page.data;
  }
}

/** Runs a call of the library, which knows no signals: an abort stops the waiting, the call ends by its own time-out. */
async function call<T>(signal: AbortSignal, what: string, run: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  try {
    return await untilAborted(run(), signal);
  } catch (error) {
    throw asProviderError(error, what);
  }
}
