/**
 * Money events: each is recorded under its own id, booked, and acted on in one transaction (invariants I2 and I3).
 * Every payment method goes through these lines, `test` too.
 */
import { AppError } from '@dc/shared/errors';
import { isTerminal, nextPaymentState } from '@dc/shared/state/contract';
import { moveContract, touchContract } from '../contracts/contract-service.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { autoAccepts } from '../offerings/provider-store.ts';
import { paymentReceived } from './ledger.ts';
import type { PaymentNotice, PaymentProvider } from './payment-provider.ts';
import { refundEverything } from './settlement.ts';

/** Opens the payment of a new contract; where it settles at once, the contract comes back paid. */
export async function payContract(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  provider: PaymentProvider,
): Promise<ContractRow> {
  const amount = { amountE9s: contract.total_e9s, currency: contract.currency };
  const notice = provider.settleAtOnce({ contractId: contract.id, amount });
  if (notice === null) return contract;
  await applyPaymentNotice(context, trx, provider.method, notice);
  return (await findContract(trx, contract.id)) ?? contract;
}

/**
 * Takes a payment provider's notice: once, however often it comes. `false` where it was known. Throws
 * CONTRACT_NOT_FOUND, and LEDGER_REFUSED for money that is not what this contract waits for; nothing is kept then.
 */
export async function applyPaymentNotice(
  context: Context,
  trx: Transaction,
  method: string,
  notice: PaymentNotice,
): Promise<boolean> {
  const now = context.clock.now();
  const contract = await findContract(trx, notice.contractId);
  if (contract === null) throw new AppError('CONTRACT_NOT_FOUND');
  if (contract.payment_method !== method)
    throw new AppError('LEDGER_REFUSED', 'The contract is paid in another way.');
  const inserted = await trx
    .insertInto('payment_events')
    .values({
      method,
      event_id: notice.eventId,
      contract_id: notice.contractId,
      kind: notice.kind,
      amount_e9s: notice.amount.amountE9s,
      currency: notice.amount.currency,
      at: now,
    })
    .onConflict((conflict) => conflict.columns(['method', 'event_id']).doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) return false;
  if (notice.kind === 'paid') await applyPaid(context, trx, contract, notice);
  else await applyFailed(context, trx, contract);
  return true;
}

async function applyPaid(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  notice: PaymentNotice,
): Promise<void> {
  const now = context.clock.now();
  const { amount } = notice;
  if (amount.currency !== contract.currency || amount.amountE9s !== contract.total_e9s) {
    throw new AppError('LEDGER_REFUSED', 'The payment is not the price of the contract.');
  }
  if (amount.amountE9s > 0n) {
    await context.ledger.append(
      trx,
      paymentReceived({
        cause: `payment:${contract.payment_method}:${notice.eventId}`,
        contractId: contract.id,
        method: contract.payment_method,
        paid: amount,
      }),
    );
  }
  const payment_state = nextPaymentState(contract.payment_state, 'succeed');
  if (payment_state === null) throw new AppError('LEDGER_REFUSED', 'The contract was paid before.');
  const paid = await touchContract(context, trx, contract, { payment_state, paid_at: now });
  // Money that comes after the contract has ended goes straight back.
  if (isTerminal(paid.state)) await refundEverything(context, trx, paid, now);
  else if (await autoAccepts(trx, paid.provider_pubkey)) {
    await moveContract(context, trx, paid, {
      event: 'accept',
      actor: 'system',
      reason: 'Paid; accepted automatically.',
    });
  }
}

async function applyFailed(context: Context, trx: Transaction, contract: ContractRow): Promise<void> {
  const payment_state = nextPaymentState(contract.payment_state, 'fail');
  if (payment_state === null) return; // A failure reported after a success takes nothing back: the ledger holds the money.
  const failed = await touchContract(context, trx, contract, { payment_state });
  if (isTerminal(failed.state)) return;
  await moveContract(context, trx, failed, {
    event: 'cancel',
    actor: 'system',
    reason: 'The payment failed.',
  });
}
