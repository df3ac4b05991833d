/**
 * A payment provider of the simulation's own: its money comes late, its notices come twice and out of order, and its
 * answers about refunds get lost. It knows better than the coordinator what was really paid.
 */
import { AppError, isAppError } from '@dc/shared/errors';
import type {
  PaymentNotice,
  PaymentProvider,
  PaymentRequest,
  RefundRequest,
} from '../../coordinator/src/payments/payment-provider.ts';
import { applyPaymentNotice } from '../../coordinator/src/payments/payment-service.ts';
import type { CoordinatorNode } from './coordinator-node.ts';
import type { Dice } from './dice.ts';
import type { World } from './world.ts';

const NOTICE_AGAIN_MS = 7_000;

export class PaymentHouse implements PaymentProvider {
  readonly method = 'house';
  /** What renters really paid, by contract. */
  readonly paid = new Map<string, bigint>();
  /** What was really paid back, by the key of the refund. */
  readonly paidBack = new Map<string, RefundRequest>();
  readonly #world: World;
  readonly #dice: Dice;
  /** Every notice of it that the coordinator has taken. */
  readonly #told: PaymentNotice[] = [];
  /** Where its notices go. */
  coordinator: CoordinatorNode | null = null;

  constructor(world: World) {
    this.#world = world;
    this.#dice = world.dice.fork('payments');
  }

  settleAtOnce(): null {
    return null;
  }

  async refund(request: RefundRequest, signal: AbortSignal): Promise<void> {
    const { time } = this.#world;
    const isFaulty = this.#world.isFaulty && this.#dice.chance(0.15);
    const movesMoney = !isFaulty || this.#dice.chance(0.5);
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new AppError('SERVICE_UNAVAILABLE')), { once: true });
      time.schedule(this.#dice.between(20, 3_000), resolve);
    });
    if (movesMoney) this.#payBack(request);
    if (!isFaulty) return;
    this.#world.fault(movesMoney ? 'refund answer lost' : 'refund fails', 'payments', request.contractId);
    throw new AppError('SERVICE_UNAVAILABLE');
  }

  /** The renter pays: the notice goes out until the coordinator has taken it, and perhaps again. */
  pay(payment: PaymentRequest): void {
    const { contractId, extensionId, amount } = payment;
    this.paid.set(contractId, (this.paid.get(contractId) ?? 0n) + amount.amountE9s);
    this.#world.note(
      'payments',
      `${contractId} is paid${extensionId === undefined ? '' : ', for more time'}`,
    );
    const notice: PaymentNotice = { ...payment, eventId: `paid:${extensionId ?? contractId}`, kind: 'paid' };
    this.#notify(notice);
    if (!this.#world.isFaulty || !this.#dice.chance(0.3)) return;
    this.#world.fault('notice twice', 'payments', contractId);
    this.#world.time.schedule(this.#dice.between(0, 90_000), () => this.#notify(notice));
  }

  /** The renter's bank refuses. */
  fail(payment: PaymentRequest): void {
    const { contractId, extensionId } = payment;
    this.#world.fault('payment fails', 'payments', contractId);
    this.#notify({ ...payment, eventId: `failed:${extensionId ?? contractId}`, kind: 'failed' });
  }

  /** Tells everything once more, as an operator makes it do after an older backup was restored. */
  tellAgain(): void {
    for (const notice of this.#told.splice(0))
      this.#world.time.schedule(this.#dice.between(0, 20_000), () => this.#notify(notice));
  }

  #payBack(request: RefundRequest): void {
    const { key, contractId, amount } = request;
    if (this.paidBack.has(key)) return;
    this.paidBack.set(key, request);
    let total = 0n;
    for (const refund of this.paidBack.values())
      if (refund.contractId === contractId) total += refund.amount.amountE9s;
    if (total > (this.paid.get(contractId) ?? 0n))
      this.#world.violate(
        'I3',
        `${contractId} got more back than was paid, lastly ${String(amount.amountE9s)}`,
      );
  }

  #notify(notice: PaymentNotice): void {
    const { time, lost } = this.#world;
    const { contractId, extensionId } = notice;
    const again = (): void => void time.schedule(NOTICE_AGAIN_MS, () => this.#notify(notice));
    this.coordinator
      ?.within(({ context }) =>
        context.db.write((trx) => applyPaymentNotice(context, trx, this.method, notice)),
      )
      .then(() => this.#told.push(notice))
      .catch((error: unknown) => {
        if (isAppError(error) && error.isRetryable) again();
        // It is found by hand: what was paid for is not known any more.
        else if (lost.has(contractId) || lost.has(extensionId ?? '')) this.#told.push(notice);
        else this.#world.violate('I3', `the notice ${notice.eventId} was refused: ${String(error)}`);
      });
  }
}
