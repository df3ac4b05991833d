/**
 * What the stand-in for Stripe knows: sessions, payments, refunds, disputes. Behaves as Stripe's documentation says,
 * and keeps its own books, so that a test can hold ours against them. Amounts are Stripe's minor units.
 */
import type { Clock } from '@dc/shared/clock';

export type Json = Record<string, unknown>;

/** An error as Stripe answers it. */
export class StripeRefusal extends Error {
  readonly status: number;
  readonly body: Json;

  constructor(status: number, type: string, code: string, message = code) {
    super(message);
    this.status = status;
    this.body = { error: { type, code, message } };
  }
}

const refuse = (code: string, message?: string): StripeRefusal =>
  new StripeRefusal(400, 'invalid_request_error', code, message);

export interface Intent extends Json {
  id: string;
  amount: number;
  amount_capturable: number;
  amount_received: number;
  currency: string;
  status: string;
  metadata: Record<string, string>;
  latest_charge: string | null;
  capture_method: string;
}
export interface Session extends Json {
  id: string;
  status: string;
  payment_status: string;
  amount_total: number;
  currency: string;
  payment_intent: string | null;
  metadata: Record<string, string>;
  url: string | null;
  expires_at: number;
}
export interface Refund extends Json {
  id: string;
  amount: number;
  currency: string;
  status: string;
  payment_intent: string;
  charge: string | null;
  metadata: Record<string, string>;
}
export interface Dispute extends Json {
  id: string;
  amount: number;
  currency: string;
  status: string;
  charge: string;
  payment_intent: string;
}
export interface Endpoint extends Json {
  id: string;
  url: string;
  secret: string;
  enabled_events: string[];
}

/** The books. `emit` gets every event as it happens. */
export class StripeBooks {
  readonly sessions = new Map<string, Session>();
  readonly intents = new Map<string, Intent>();
  readonly refunds = new Map<string, Refund>();
  readonly disputes = new Map<string, Dispute>();
  readonly endpoints = new Map<string, Endpoint>();
  /** Tax that is added where a session asks for it, in per cent. */
  taxPercent = 20;
  readonly #clock: Clock;
  readonly #emit: (type: string, object: Json) => void;
  readonly #baseUrl: () => string;
  #count = 0;
  /** Parts of sessions that Stripe does not show. */
  readonly #hidden = new Map<string, { capture: string; metadata: Record<string, string>; tax: number }>();

  constructor(clock: Clock, emit: (type: string, object: Json) => void, baseUrl: () => string) {
    this.#clock = clock;
    this.#emit = emit;
    this.#baseUrl = baseUrl;
  }

  /** Stripe's balance with us: what was taken and neither refunded nor taken back by a bank, and what is authorised. */
  holds(currency: string): number {
    const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
    const of = <T extends { currency: string }>(map: Map<string, T>): T[] =>
      [...map.values()].filter((item) => item.currency === currency);
    return (
      sum(of(this.intents).map((intent) => intent.amount_received + intent.amount_capturable)) -
      sum(
        of(this.refunds)
          .filter(({ status }) => status !== 'failed' && status !== 'canceled')
          .map(({ amount }) => amount),
      ) -
      sum(
        of(this.disputes)
          .filter(({ withdrawn }) => withdrawn === true)
          .map(({ amount }) => amount),
      )
    );
  }

  createSession(body: Json): Session {
    const id = this.#id('cs_test');
    const items = body['line_items'] as { quantity: string; price_data: Json }[];
    const price = items[0]?.price_data ?? {};
    const subtotal = Number(price['unit_amount']) * Number(items[0]?.quantity ?? 1);
    const now = this.#now();
    const expiresAt = Number(body['expires_at'] ?? now + 86_400);
    if (!Number.isInteger(subtotal) || subtotal < 50)
      throw refuse('amount_too_small', 'Amount must be at least 50 minor units.');
    if (subtotal > 99_999_999) throw refuse('amount_too_large');
    if (expiresAt < now + 1800 || expiresAt > now + 86_400)
      throw refuse(
        'parameter_invalid_integer',
        'expires_at must be between 30 minutes and 24 hours from now.',
      );
    const isTaxed = (body['automatic_tax'] as Json | undefined)?.['enabled'] === 'true';
    const tax = isTaxed ? Math.round((subtotal * this.taxPercent) / 100) : 0;
    const intent = (body['payment_intent_data'] ?? {}) as Json;
    this.#hidden.set(id, {
      capture: intent['capture_method'] === 'manual' ? 'manual' : 'automatic',
      metadata: (intent['metadata'] ?? {}) as Record<string, string>,
      tax,
    });
    const session: Session = {
      ...{
        id,
        object: 'checkout.session',
        livemode: false,
        created: now,
        expires_at: expiresAt,
        mode: 'payment',
      },
      ...{
        status: 'open',
        payment_status: 'unpaid',
        payment_intent: null,
        currency: String(price['currency']),
      },
      ...{ amount_subtotal: subtotal, amount_total: subtotal + tax },
      total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: tax },
      automatic_tax: { enabled: isTaxed, status: isTaxed ? 'complete' : null },
      ...{ client_reference_id: body['client_reference_id'] ?? null, metadata: body['metadata'] as never },
      ...{ success_url: body['success_url'], cancel_url: body['cancel_url'] },
      ...{ custom_fields: [], custom_text: { shipping_address: null, submit: null }, shipping_options: [] },
      ...{ payment_method_types: ['card'], url: `${this.#baseUrl()}/checkout/${id}` },
    };
    this.sessions.set(id, session);
    return session;
  }

  session(id: string): Session {
    return found(this.sessions, id);
  }

  intent(id: string): Intent {
    return found(this.intents, id);
  }

  /** The payer pays. `bank`: the money takes days, and `settle` says what became of it. */
  pay(sessionId: string, by: 'card' | 'bank' = 'card'): Intent {
    const session = this.session(sessionId);
    if (session.status !== 'open') throw new Error(`the session is ${session.status}`);
    if (session.expires_at <= this.#now()) throw new Error('the session has expired');
    const { capture, metadata } = this.#hidden.get(sessionId) ?? { capture: 'automatic', metadata: {} };
    const id = this.#id('pi');
    const isHeld = by === 'card' && capture === 'manual';
    const total = session.amount_total;
    const intent: Intent = {
      ...{ id, object: 'payment_intent', livemode: false, created: this.#now(), currency: session.currency },
      ...{
        amount: total,
        amount_capturable: isHeld ? total : 0,
        amount_received: by === 'card' && !isHeld ? total : 0,
      },
      status: by === 'bank' ? 'processing' : isHeld ? 'requires_capture' : 'succeeded',
      ...{ capture_method: capture, confirmation_method: 'automatic', payment_method_types: ['card'] },
      ...{ metadata, latest_charge: this.#id('ch') },
    };
    this.intents.set(id, intent);
    Object.assign(session, {
      ...{ status: 'complete', payment_intent: id, url: null },
      payment_status: intent.status === 'succeeded' ? 'paid' : 'unpaid',
    });
    if (isHeld) this.#emit('payment_intent.amount_capturable_updated', intent);
    if (intent.status === 'succeeded') this.#emit('payment_intent.succeeded', intent);
    this.#emit('checkout.session.completed', session);
    return intent;
  }

  /** What became of a payment by bank. */
  settle(sessionId: string, outcome: 'paid' | 'failed'): void {
    const session = this.session(sessionId);
    const intent = this.intent(session.payment_intent ?? '');
    if (outcome === 'paid') {
      Object.assign(intent, { status: 'succeeded', amount_received: intent.amount });
      Object.assign(session, { payment_status: 'paid' });
      this.#emit('payment_intent.succeeded', intent);
      this.#emit('checkout.session.async_payment_succeeded', session);
    } else {
      Object.assign(intent, { status: 'requires_payment_method' });
      this.#emit('checkout.session.async_payment_failed', session);
    }
  }

  expireSession(id: string): Session {
    const session = this.session(id);
    if (session.status !== 'open') throw refuse('resource_state', 'Only open sessions can be expired.');
    Object.assign(session, { status: 'expired', url: null });
    this.#emit('checkout.session.expired', session);
    return session;
  }

  capture(id: string): Intent {
    const intent = this.intent(id);
    if (intent.status !== 'requires_capture') throw refuse('payment_intent_unexpected_state');
    Object.assign(intent, {
      status: 'succeeded',
      amount_received: intent.amount_capturable,
      amount_capturable: 0,
    });
    const session = [...this.sessions.values()].find(({ payment_intent }) => payment_intent === id);
    if (session !== undefined) session.payment_status = 'paid';
    this.#emit('payment_intent.succeeded', intent);
    return intent;
  }

  /** By us, or because the authorisation has run out. */
  cancel(id: string): Intent {
    const intent = this.intent(id);
    if (intent.status !== 'requires_capture' && intent.status !== 'processing')
      throw refuse('payment_intent_unexpected_state');
    Object.assign(intent, { status: 'canceled', amount_capturable: 0 });
    this.#emit('payment_intent.canceled', intent);
    return intent;
  }

  /** `pending`: a bank takes days, and `settleRefund` says what became of it. */
  refund(body: Json, status: 'succeeded' | 'pending' = 'succeeded'): Refund {
    const intent = this.intent(String(body['payment_intent']));
    const before = [...this.refunds.values()].filter(
      (refund) => refund.payment_intent === intent.id && refund.status !== 'failed',
    );
    const left = intent.amount_received - before.reduce((sum, refund) => sum + refund.amount, 0);
    const amount = body['amount'] === undefined ? left : Number(body['amount']);
    if (
      [...this.disputes.values()].some(
        (dispute) => dispute.payment_intent === intent.id && dispute.status !== 'won',
      )
    )
      throw refuse('charge_disputed');
    if (left <= 0) throw refuse('charge_already_refunded');
    if (amount > left || amount <= 0) throw refuse('amount_too_large');
    const refund: Refund = {
      ...{
        id: this.#id('re'),
        object: 'refund',
        created: this.#now(),
        amount,
        currency: intent.currency,
        status,
      },
      ...{
        payment_intent: intent.id,
        charge: intent.latest_charge,
        metadata: (body['metadata'] ?? {}) as never,
      },
    };
    this.refunds.set(refund.id, refund);
    this.#emit('refund.created', refund);
    return refund;
  }

  settleRefund(id: string, status: 'succeeded' | 'failed'): void {
    const refund = found(this.refunds, id);
    Object.assign(refund, {
      status,
      ...(status === 'failed' ? { failure_reason: 'lost_or_stolen_card' } : {}),
    });
    this.#emit('refund.updated', refund);
    if (status === 'failed') this.#emit('refund.failed', refund);
  }

  /** The payer's bank disputes a payment, and takes the money at once unless it only asks. */
  dispute(intentId: string, status: 'needs_response' | 'warning_needs_response' = 'needs_response'): Dispute {
    const intent = this.intent(intentId);
    const dispute: Dispute = {
      ...{ id: this.#id('dp'), object: 'dispute', livemode: false, created: this.#now(), status },
      ...{ amount: intent.amount_received, currency: intent.currency, reason: 'fraudulent', metadata: {} },
      ...{ charge: intent.latest_charge ?? '', payment_intent: intentId, is_charge_refundable: false },
      ...{ balance_transactions: [], evidence: EVIDENCE, withdrawn: false },
      evidence_details: {
        due_by: this.#now() + 604_800,
        has_evidence: false,
        past_due: false,
        submission_count: 0,
      },
    };
    this.disputes.set(dispute.id, dispute);
    this.#emit('charge.dispute.created', shown(dispute));
    if (status === 'needs_response') this.moveFunds(dispute.id, 'withdrawn');
    return dispute;
  }

  moveFunds(id: string, funds: 'withdrawn' | 'reinstated'): void {
    const dispute = found(this.disputes, id);
    dispute['withdrawn'] = funds === 'withdrawn';
    this.#emit(`charge.dispute.funds_${funds}`, shown(dispute));
  }

  closeDispute(id: string, status: 'won' | 'lost' | 'warning_closed'): void {
    const dispute = found(this.disputes, id);
    dispute.status = status;
    this.#emit('charge.dispute.closed', shown(dispute));
    if (status === 'won') this.moveFunds(id, 'reinstated');
  }

  warn(intentId: string, actionable = true, id = this.#id('issfr')): string {
    const intent = this.intent(intentId);
    const type = `radar.early_fraud_warning.${actionable ? 'created' : 'updated'}`;
    this.#emit(type, {
      ...{ id, object: 'radar.early_fraud_warning', livemode: false, created: this.#now() },
      ...{
        actionable,
        charge: intent.latest_charge,
        payment_intent: intentId,
        fraud_type: 'made_with_stolen_card',
      },
    });
    return id;
  }

  createEndpoint(body: Json): Endpoint {
    const endpoint: Endpoint = {
      ...{
        id: this.#id('we'),
        object: 'webhook_endpoint',
        livemode: false,
        created: this.#now(),
        metadata: {},
      },
      ...{ url: String(body['url']), enabled_events: body['enabled_events'] as string[], status: 'enabled' },
      ...{ api_version: body['api_version'] ?? null, secret: `whsec_${this.#id('test')}` },
    };
    this.endpoints.set(endpoint.id, endpoint);
    return endpoint;
  }

  updateEndpoint(id: string, body: Json): Endpoint {
    return Object.assign(found(this.endpoints, id), body);
  }

  #id(prefix: string): string {
    this.#count += 1;
    return `${prefix}_${String(this.#count).padStart(14, '0')}`;
  }

  #now(): number {
    return Math.floor(this.#clock.now() / 1000);
  }
}

function found<T>(map: Map<string, T>, id: string): T {
  const item = map.get(id);
  if (item === undefined)
    throw new StripeRefusal(404, 'invalid_request_error', 'resource_missing', `No such ${id}`);
  return item;
}

/** Without what only the stand-in knows. */
function shown({ withdrawn: _withdrawn, ...dispute }: Dispute): Json {
  return dispute;
}

const EVIDENCE_FIELDS =
  'access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal ' +
  'customer_communication customer_email_address customer_name customer_purchase_ip customer_signature ' +
  'duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt ' +
  'refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation ' +
  'shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number ' +
  'uncategorized_file uncategorized_text';
const EVIDENCE = Object.fromEntries(EVIDENCE_FIELDS.split(' ').map((field) => [field, null]));
