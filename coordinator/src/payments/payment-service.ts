/**
 * Money events: each is recorded under its own id, booked, and acted on in one transaction (invariants I2 and I3).
 * Every payment method goes through these lines, `test` too.
 */
import { AppError } from '@dc/shared/errors';
import { isTerminal, nextPaymentState } from '@dc/shared/state/contract';
import { moveContract, touchContract } from '../contracts/contract-service.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import { dropExtension, giveExtension } from '../contracts/extend-contract.ts';
import { findExtension, type ExtensionRow } from '../contracts/extension-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { autoAccepts } from '../offerings/provider-store.ts';
import { documentPayment } from '../invoices/payment-documents.ts';
import { balanceOf } from './ledger-store.ts';
import { paidFromWallet } from './ledger-wallet.ts';
import { accounts, paymentReceived } from './ledger.ts';
import { askForPayment, keyOfContract, keyOfExtension } from './payment-asks.ts';
import type { PaymentNotice, PaymentProvider } from './payment-provider.ts';
import { refundEverything, refundPayment } from './settlement.ts';

/** Where the payer wants what comes back to go. */
export type RefundTo = 'source' | 'wallet';

/** A contract, or more time for one, that is to be paid. */
export interface Payable {
  contract: ContractRow;
  extension?: ExtensionRow;
  refundTo?: RefundTo;
}

/**
 * Opens the payment of a new contract or of an extension. Where it settles at once, the contract comes back paid (or
 * extended); else the payment is asked for after the commit. Throws WALLET_TOO_LOW, PAYMENT_AMOUNT_UNSUPPORTED,
 * TOKEN_RATE_STALE.
 */
export async function pay(
  context: Context,
  trx: Transaction,
  payable: Payable,
  provider: PaymentProvider,
): Promise<ContractRow> {
  const { contract, extension } = payable;
  const amount = {
    amountE9s: extension?.price_e9s ?? contract.total_e9s,
    currency: contract.currency,
  };
  if (provider.online !== undefined && amount.amountE9s > 0n) {
    await askForPayment(context, trx, provider, {
      key: extension === undefined ? keyOfContract(contract.id) : keyOfExtension(extension.id),
      account: contract.renter_pubkey,
      contractId: contract.id,
      extensionId: extension?.id ?? null,
      amount,
      description: describe(payable),
      isForDelivery: extension === undefined,
      refundTo: payable.refundTo ?? 'source',
    });
    return contract;
  }
  if (provider.source === 'wallet') await assertWalletHolds(trx, contract, amount.amountE9s);
  const request = {
    contractId: contract.id,
    ...(extension === undefined ? {} : { extensionId: extension.id }),
    amount,
  };
  const notice =
    provider.online === undefined
      ? provider.settleAtOnce(request)
      : // Nothing to pay: there is nobody to ask.
        { ...request, eventId: `free:${extension?.id ?? contract.id}`, kind: 'paid' as const };
  if (notice !== null) await applyPaymentNotice(context, trx, provider.method, notice);
  return (await findContract(trx, contract.id)) ?? contract;
}

function describe({ contract, extension }: Payable): string {
  const hours = (count: number): string => `${String(count)} ${count === 1 ? 'hour' : 'hours'}`;
  return extension === undefined
    ? `${contract.offering_title}, ${hours(contract.duration_hours)}`
    : `${contract.offering_title}, ${hours(extension.hours)} more`;
}

async function assertWalletHolds(trx: Transaction, contract: ContractRow, priceE9s: bigint): Promise<void> {
  const { amountE9s } = await balanceOf(
    trx,
    accounts.renterWallet(contract.renter_pubkey),
    contract.currency,
  );
  if (amountE9s < priceE9s) throw new AppError('WALLET_TOO_LOW');
}

/** A notice that is being applied. */
interface Receipt {
  context: Context;
  trx: Transaction;
  contract: ContractRow;
  notice: PaymentNotice & { taxE9s?: bigint };
}

/**
 * Takes a payment provider's notice: once, however often it comes. `false` where it was known. Throws
 * CONTRACT_NOT_FOUND, and LEDGER_REFUSED for money that is not what this contract waits for; nothing is kept then.
 * What is paid twice, or too late, is booked and goes back. `taxE9s` came on top of the price.
 */
export async function applyPaymentNotice(
  context: Context,
  trx: Transaction,
  method: string,
  notice: PaymentNotice & { taxE9s?: bigint },
): Promise<boolean> {
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
      at: context.clock.now(),
    })
    .onConflict((conflict) => conflict.columns(['method', 'event_id']).doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) return false;
  const receipt = { context, trx, contract, notice };
  if (notice.extensionId !== undefined) await applyToExtension(receipt, notice.extensionId);
  else if (notice.kind === 'paid') await applyPaid(receipt);
  else await applyFailed(receipt);
  return true;
}

/** Books what came. Throws LEDGER_REFUSED unless it is `due`; null where any amount is taken, because it goes back. */
async function book(
  { context, trx, contract, notice }: Receipt,
  due: bigint | null,
  extension?: ExtensionRow,
): Promise<void> {
  const { amount, taxE9s = 0n } = notice;
  const isDue = due === null ? amount.amountE9s >= 0n : amount.amountE9s === due;
  if (amount.currency !== contract.currency || !isDue)
    throw new AppError('LEDGER_REFUSED', 'The payment is not the price of the contract.');
  if (amount.amountE9s === 0n) return;
  const movement = {
    cause: `payment:${contract.payment_method}:${notice.eventId}`,
    contractId: contract.id,
    paid: amount,
  };
  const set =
    contract.payment_method === 'wallet'
      ? paidFromWallet({ ...movement, renterPubkey: contract.renter_pubkey })
      : paymentReceived({
          ...movement,
          method: contract.payment_method,
          tax: { amountE9s: taxE9s, currency: amount.currency },
        });
  await context.ledger.append(trx, set);
  const { cause } = movement;
  const of = extension === undefined ? { contract } : { contract, extension };
  const paid = { ...of, cause, amountE9s: amount.amountE9s, taxE9s };
  await documentPayment(context, trx, paid);
}

/** Sends back what came with this notice, and nothing else. */
async function sendBack({ context, trx, contract, notice }: Receipt, reason: string): Promise<void> {
  const { eventId, amount } = notice;
  await refundPayment(context, trx, contract, { eventId, amountE9s: amount.amountE9s, reason });
}

async function applyPaid(receipt: Receipt): Promise<void> {
  const { context, trx, contract } = receipt;
  const payment_state = nextPaymentState(contract.payment_state, 'succeed');
  await book(receipt, payment_state === null ? null : contract.total_e9s);
  if (payment_state === null) return sendBack(receipt, 'paid_twice');
  const now = context.clock.now();
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

async function applyToExtension(receipt: Receipt, extensionId: string): Promise<void> {
  const { context, trx, contract, notice } = receipt;
  const extension = await findExtension(trx, extensionId);
  if (extension?.contract_id !== contract.id)
    throw new AppError('LEDGER_REFUSED', 'The contract has no such extension.');
  if (notice.kind === 'failed') return dropExtension(context, trx, contract, extension);
  const isFirst = extension.state === 'pending' || extension.state === 'failed';
  await book(receipt, isFirst ? extension.price_e9s : null, extension);
  if (!isFirst) return sendBack(receipt, 'paid_twice');
  if (!(await giveExtension(context, trx, contract, extension))) await sendBack(receipt, 'too_late');
}

async function applyFailed({ context, trx, contract }: Receipt): Promise<void> {
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
