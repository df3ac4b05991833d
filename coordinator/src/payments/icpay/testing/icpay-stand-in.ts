/**
 * A program that behaves like ICPay, for tests: intents, payments, refunds, and webhooks that are signed either way,
 * as its SDK's types and its page on webhooks describe them. It knows no idempotency keys.
 */
import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '@dc/shared/clock';
import type { IcpayIntentObject, IcpayPaymentObject } from '../icpay-events.ts';

export const ICPAY_SECRET_KEY = 'sk_icpay_stand_in';
export const ICPAY_PUBLISHABLE_KEY = 'pk_icpay_stand_in';
export const ICPAY_WEBHOOK_SECRET = 'icpay_webhook_stand_in';
export const ICPAY_LEDGER = 'ryjl3-tyaaa-aaaaa-aaaba-cai';
/** Base units of the token for a cent. */
const UNITS_A_CENT = 200_000n;

type Deliver = (body: string, signature: string) => Promise<number>;

export class IcpayStandIn {
  readonly intents = new Map<string, IcpayIntentObject>();
  readonly payments = new Map<string, IcpayPaymentObject>();
  readonly refunds: { paymentId: string; amount: string; metadata: Record<string, unknown> }[] = [];
  readonly events: { id: string; type: string; data: { object: unknown } }[] = [];
  readonly faults: ('unavailable' | 'answer_lost')[] = [];
  signs: 'timed' | 'bare' = 'timed';
  refundStatus = 'completed';
  /** Whether refunds are made without an answer. */
  losesRefundAnswers = false;
  readonly #clock: Clock;
  readonly #server: Server;
  #deliver: Deliver | null = null;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo | null)?.port ?? 0)}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  deliverTo(deliver: Deliver | null): void {
    this.#deliver = deliver;
  }

  sign(body: string, at = this.#clock.now()): string {
    const hmac = (text: string): string =>
      createHmac('sha256', ICPAY_WEBHOOK_SECRET).update(text).digest('hex');
    const time = String(Math.floor(at / 1000));
    return this.signs === 'bare' ? hmac(body) : `t=${time},v1=${hmac(`${time}.${body}`)}`;
  }

  /** The payer pays; `amount` in base units unless it is what was asked for. */
  pay(intentId: string, change: Partial<IcpayPaymentObject> = {}): IcpayPaymentObject {
    const intent = this.intents.get(intentId);
    if (intent === undefined) throw new Error(`no intent ${intentId}`);
    const amount = change.amount ?? intent.amount;
    const payment: IcpayPaymentObject = {
      ...{ id: this.#id('pay'), paymentIntentId: intentId, transactionId: this.#id('tx'), amount },
      ...{ ledgerCanisterId: intent.ledgerCanisterId, metadata: intent.metadata ?? {} },
      ...{ requestedAmount: intent.amount, paidAmount: amount },
      status: amount === intent.amount ? 'completed' : 'mismatched',
      ...change,
    };
    this.payments.set(payment.id, payment);
    intent.status = 'succeeded';
    this.emit('payment.completed', payment);
    return payment;
  }

  emit(type: string, object: unknown): void {
    const event = { id: this.#id('evt'), object: 'event', type, data: { object: structuredClone(object) } };
    this.events.push(event);
    // Where nobody is there any more, ICPay would try again later; a test brings the event itself.
    if (this.#deliver !== null) this.send(event, this.#deliver).catch(() => undefined);
  }

  send(event: unknown, deliver: Deliver): Promise<number> {
    const body = JSON.stringify(event);
    return deliver(body, this.sign(body));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const fault = this.faults.shift();
    if (fault === 'unavailable') return void response.writeHead(503).end('{}');
    const text = Buffer.concat(chunks).toString('utf8');
    const answer = this.#answer(request, text === '' ? {} : (JSON.parse(text) as Record<string, unknown>));
    const isLost = this.losesRefundAnswers && request.url === '/sdk/refunds';
    if (fault === 'answer_lost' || isLost) return void response.destroy();
    response
      .writeHead(answer.status, { 'content-type': 'application/json' })
      .end(JSON.stringify(answer.body));
  }

  #answer(request: IncomingMessage, body: Record<string, unknown>): { status: number; body: unknown } {
    const call = `${request.method ?? ''} ${request.url ?? ''}`;
    const isPublic = call.includes('/public/');
    const key = isPublic ? ICPAY_PUBLISHABLE_KEY : ICPAY_SECRET_KEY;
    if (request.headers.authorization !== `Bearer ${key}`) return { status: 401, body: {} };
    if (call === 'POST /sdk/public/payments/intents') return { status: 201, body: this.#createIntent(body) };
    if (call === 'POST /sdk/refunds') return this.#refund(body);
    if (call === 'POST /sdk/payments/by-metadata') {
      const wanted = (body['metadata'] as Record<string, unknown>)['dc_payment'];
      const payments = [...this.payments.values()].filter(
        ({ metadata }) => metadata?.['dc_payment'] === wanted,
      );
      return { status: 200, body: { payments, total: payments.length } };
    }
    const [, kind = '', id = ''] = /^GET \/sdk\/(payments|payment-intents)\/(.+)$/.exec(call) ?? [];
    const payment = this.payments.get(id);
    if (kind === 'payments' && payment !== undefined)
      return { status: 200, body: { payment, intent: this.intents.get(payment.paymentIntentId) ?? null } };
    const intent = this.intents.get(id);
    return kind === 'payment-intents' && intent !== undefined
      ? { status: 200, body: intent }
      : { status: 404, body: {} };
  }

  #createIntent(body: Record<string, unknown>) {
    const cents = BigInt(Math.round(Number(body['amountUsd']) * 100));
    const intent: IcpayIntentObject = {
      ...{ id: this.#id('pi'), amount: String(cents * UNITS_A_CENT), amountUsd: Number(body['amountUsd']) },
      ...{ ledgerCanisterId: ICPAY_LEDGER, status: 'requires_payment' },
      metadata: body['metadata'] as Record<string, unknown>,
    };
    this.intents.set(intent.id, intent);
    return { paymentIntentId: intent.id, paymentIntentCode: 1, payment: null, paymentIntent: intent };
  }

  #refund(body: Record<string, unknown>): { status: number; body: unknown } {
    const payment = this.payments.get(String(body['paymentId']));
    if (payment === undefined || payment.status !== 'completed') return { status: 400, body: {} };
    this.refunds.push(body as never);
    if (this.refundStatus === 'completed') payment.status = 'refunded';
    return { status: 201, body: { id: this.#id('re'), status: this.refundStatus } };
  }

  #id(prefix: string): string {
    this.#count += 1;
    return `${prefix}_${String(this.#count).padStart(6, '0')}`;
  }
}
