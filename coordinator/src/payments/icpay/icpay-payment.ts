/**
 * ICPay: prices in USD, paid in one token. The renter pays an intent on a page with ICPay's widget, or a hosted one;
 * its API says what came. It has no idempotency keys: an intent made twice is paid once, since only one is ever shown,
 * and a refund whose answer never came is not repeated. There is no payout API: see docs/money.md.
 */
import { AppError } from '@dc/shared/errors';
import type { Clock } from '@dc/shared/clock';
import { formatMoney } from '@dc/shared/money/money';
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
import { assertBareSignature, assertTimedSignature } from '../webhook-signature.ts';
import {
  KEY_FIELD,
  readAggregate,
  readIcpayEvent,
  REFUND_KEY_FIELD,
  type IcpayIntentObject,
  type IcpayPaymentObject,
} from './icpay-events.ts';

/** What the ICPay provider is made of. */
export interface IcpaySettings {
  secretKey: string;
  publishableKey: string;
  webhookSecrets: readonly string[];
  apiBase: string;
  /** Where an intent is paid; `{intent}` and `{return}` are replaced. */
  checkoutUrl: string;
  /** The token that is taken, by its short code, and the canister of its ledger. */
  token: string;
  /** How exchanges call it, and the decimals of its ledger. */
  tokenSymbol: string;
  tokenDecimals: number;
  ledgerCanisterId: string;
  /** `bare`: the header is the HMAC of the body alone, as one of ICPay's two descriptions has it. */
  webhookSignature: 'timed' | 'bare';
  publicUrl: string;
}

const CALL_TIMEOUT_MS = 20_000;
const CENT_E9S = 10_000_000n;
const UNIT_E9S = 1_000_000_000n;
/** Rates move between our asking and ICPay's. */
const RATE_TOLERANCE_PERMILLE = 30n;

/** The payment method `icpay`. */
export function createIcpayPayment(settings: IcpaySettings, clock: Clock): PaymentProvider {
  const online = new IcpayPayments(settings, clock);
  return {
    method: 'icpay',
    online,
    settleAtOnce: () => null,
    refund: (request, signal) => online.refund(request, signal),
  };
}

/** What ICPay answers for a new intent. */
interface CreatedIntent {
  paymentIntentId: string;
  payment?: { id?: string } | null;
  paymentIntent?: IcpayIntentObject | null;
}

interface Aggregate {
  payment: IcpayPaymentObject;
  intent: IcpayIntentObject | null;
}

class IcpayPayments implements OnlinePayments {
  readonly capabilities;
  readonly #settings: IcpaySettings;
  readonly #clock: Clock;

  constructor(settings: IcpaySettings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
    this.capabilities = {
      topsUp: true,
      stepE9s: (currency: string) => (currency === 'USD' ? CENT_E9S : null),
      repeatsRefunds: false,
      token: settings.tokenSymbol,
    };
  }

  async create(ask: PaymentAsk, signal: AbortSignal): Promise<OpenedPayment> {
    const { token, publishableKey, checkoutUrl, publicUrl } = this.#settings;
    const body = {
      amountUsd: usdText(ask.amount.amountE9s),
      tokenShortcode: token,
      fiat_currency: 'USD',
      description: ask.description,
      metadata: { [KEY_FIELD]: ask.key },
    };
    const answer = await this.#call<CreatedIntent>('POST', '/sdk/public/payments/intents', {
      signal,
      body,
      key: publishableKey,
    });
    await this.#assertRate(ask, answer, signal);
    const back = `${publicUrl}/pay/return?payment=${encodeURIComponent(ask.key)}`;
    return {
      externalId: answer.paymentIntentId,
      paymentRef: answer.payment?.id ?? null,
      checkoutUrl: checkoutUrl
        .replaceAll('{intent}', encodeURIComponent(answer.paymentIntentId))
        .replaceAll('{return}', encodeURIComponent(back)),
    };
  }

  /** ICPay turns USD into tokens at a rate of its own: it must be near the one that the exchanges agree on. */
  async #assertRate(ask: PaymentAsk, created: CreatedIntent, signal: AbortSignal): Promise<void> {
    const { tokenAmountE9s } = ask;
    if (tokenAmountE9s === null) return;
    const path = `/sdk/payment-intents/${encodeURIComponent(created.paymentIntentId)}`;
    const { amount } =
      created.paymentIntent ?? (await this.#call<IcpayIntentObject>('GET', path, { signal }));
    if (!/^[1-9][0-9]{0,29}$/.test(amount))
      throw unavailable('ICPay does not say how many tokens it asks for', path);
    const { tokenSymbol, tokenDecimals } = this.#settings;
    const askedE9s = (BigInt(amount) * UNIT_E9S) / 10n ** BigInt(tokenDecimals);
    const distance = askedE9s > tokenAmountE9s ? askedE9s - tokenAmountE9s : tokenAmountE9s - askedE9s;
    if (distance * 1000n <= tokenAmountE9s * RATE_TOLERANCE_PERMILLE) return;
    const told = (amountE9s: bigint) => formatMoney({ amountE9s, currency: tokenSymbol });
    throw new AppError(
      'PAYMENT_REFUSED',
      `ICPay asks for ${told(askedE9s)}, and at the exchanges it is ${told(tokenAmountE9s)}.`,
    );
  }

  readEvent({ headers, body, now }: WebhookDelivery): ProviderEvent {
    const { webhookSignature, webhookSecrets } = this.#settings;
    const delivery = { header: headers['x-icpay-signature'], body, now };
    if (webhookSignature === 'bare') assertBareSignature(delivery, webhookSecrets);
    else assertTimedSignature(delivery, webhookSecrets);
    return this.readFacts(Buffer.from(body).toString('utf8'));
  }

  readFacts(body: string): ProviderEvent {
    const event = JSON.parse(body) as Partial<{ id: string; type: string; data: { object: unknown } }>;
    const { id, type, data } = event;
    if (typeof id !== 'string' || typeof type !== 'string' || typeof data?.object !== 'object')
      throw new AppError('REQUEST_INVALID', 'This is no event of ICPay.');
    return { id, type, ...readIcpayEvent(type, data.object) };
  }

  async fetchTruth(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]> {
    const { payment, intent } = await this.#aggregate(refs, signal);
    return readAggregate({ intent, payment }, this.#settings.ledgerCanisterId);
  }

  /** There is nothing to take: a token is paid or it is not. */
  capture(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]> {
    return this.fetchTruth(refs, signal);
  }

  /** An intent cannot be closed: what is paid too late goes back. */
  async close(refs: PaymentRefs, signal: AbortSignal): Promise<readonly ProviderFact[]> {
    return this.fetchTruth(refs, signal);
  }

  async refund(request: RefundRequest, signal: AbortSignal): Promise<RefundAnswer> {
    const { key, amount, payment: refs } = request;
    if (refs === undefined) throw new Error('a refund of ICPay names its payment');
    const { payment, intent } = await this.#aggregate(refs, signal);
    if (payment === null) throw unavailable('ICPay does not know this payment', 'refund');
    if (payment.status === 'refunded') return { id: `refund-of:${payment.id}`, status: 'succeeded' };
    const price = BigInt(Math.round(Number(intent.amountUsd) * 100)) * CENT_E9S;
    const tokens = (BigInt(intent.amount) * amount.amountE9s) / price;
    const answer = await this.#call<{ id: string; status: string }>('POST', '/sdk/refunds', {
      signal,
      body: { paymentId: payment.id, amount: String(tokens), metadata: { [REFUND_KEY_FIELD]: key } },
    });
    const status = REFUND_STATUS[answer.status] ?? 'pending';
    return { id: `refund-of:${payment.id}`, status };
  }

  /** The intent and what was paid for it: by whichever name is known first. */
  async #aggregate(
    refs: PaymentRefs,
    signal: AbortSignal,
  ): Promise<{ intent: IcpayIntentObject; payment: IcpayPaymentObject | null }> {
    const intentId = refs.externalId ?? '';
    if (refs.paymentRef !== null) {
      const path = `/sdk/payments/${encodeURIComponent(refs.paymentRef)}`;
      const { payment, intent } = await this.#call<Aggregate>('GET', path, { signal });
      if (intent !== null) return { payment, intent };
    }
    const path = `/sdk/payment-intents/${encodeURIComponent(intentId)}`;
    const intent = await this.#call<IcpayIntentObject>('GET', path, { signal });
    const { payments } = await this.#call<{ payments: { id: string; metadata?: Record<string, unknown> }[] }>(
      'POST',
      '/sdk/payments/by-metadata',
      { signal, body: { metadata: { [KEY_FIELD]: refs.key } } },
    );
    const [found] = payments;
    if (found === undefined) return { intent, payment: null };
    const one = await this.#call<Aggregate>('GET', `/sdk/payments/${encodeURIComponent(found.id)}`, {
      signal,
    });
    return { intent: one.intent ?? intent, payment: one.payment };
  }

  async #call<Answer>(
    method: 'GET' | 'POST',
    path: string,
    { signal, body, key = this.#settings.secretKey }: { signal: AbortSignal; body?: unknown; key?: string },
  ): Promise<Answer> {
    const late = new AbortController();
    const cancel = this.#clock.schedule(CALL_TIMEOUT_MS, () => late.abort());
    try {
      const response = await fetch(`${this.#settings.apiBase}${path}`, {
        method,
        redirect: 'error',
        signal: AbortSignal.any([signal, late.signal]),
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.ok) return JSON.parse(text) as Answer;
      if (response.status === 400 || response.status === 422)
        throw new AppError('PAYMENT_REFUSED', `ICPay refuses it (${path}, ${String(response.status)}).`);
      throw unavailable(`ICPay answers ${String(response.status)}`, path);
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw unavailable('ICPay gives no answer', path, error);
    } finally {
      cancel();
    }
  }
}

const REFUND_STATUS: Readonly<Record<string, RefundAnswer['status']>> = {
  completed: 'succeeded',
  failed: 'failed',
  cancelled: 'failed',
};

function usdText(amountE9s: bigint): string {
  const cents = ((amountE9s % UNIT_E9S) / CENT_E9S).toString().padStart(2, '0');
  return `${String(amountE9s / UNIT_E9S)}.${cents}`;
}

function unavailable(what: string, path: string, cause?: unknown): AppError {
  return new AppError('PAYMENT_PROVIDER_UNAVAILABLE', `${what} (${path}).`, { cause });
}
