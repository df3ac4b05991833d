/**
 * Disputes (chargebacks) and early warnings: the rental is paused, what is left of the money is held, and the outcome
 * resumes or ends it. A dispute whose payment is not known is kept, shown, and linked when the payment turns up.
 */
import type { Selectable } from 'kysely';
import { isTerminal, nextPaymentState } from '@dc/shared/state/contract';
import { moveContract, touchContract } from '../contracts/contract-service.ts';
import { findContract, type ContractRow } from '../contracts/contract-store.ts';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import type { DisputesTable } from '../database/tables-payments.ts';
import {
  disputeFundsReinstated,
  disputeFundsWithdrawn,
  disputeLost,
  disputeOpened,
  disputeWon,
  type DisputeSource,
} from './ledger-dispute.ts';
import { insertReversal } from './earning-store.ts';
import { balanceOf, moneyOfContract } from './ledger-store.ts';
import { accounts } from './ledger.ts';
import type { DisputeFact } from './payment-provider.ts';
import type { PaymentRow } from './payment-store.ts';
import { REFUND_TOPIC } from './refund-topic.ts';
import { settleAfterLoss } from './settlement.ts';

type DisputeRow = Selectable<DisputesTable>;

/** A dispute that is being applied. */
interface Case {
  context: Context;
  trx: Transaction;
  row: DisputeRow;
}

/** Takes what the provider says of a dispute. `payment` is null where it is not known which one it is about. */
export async function applyDispute(
  context: Context,
  trx: Transaction,
  method: string,
  { fact, payment }: { fact: DisputeFact; payment: PaymentRow | null },
): Promise<void> {
  const before = await findDispute(trx, method, fact.id);
  const isLinked = before?.payment_key != null;
  if (payment === null) {
    if (before === null) await insertDispute(context, trx, method, { fact, payment });
    else if (!isLinked) await change({ context, trx, row: before }, { status: fact.status });
    return;
  }
  // What was kept of an orphan is only for show: from here on its events are applied one after the other.
  if (before !== null && !isLinked)
    await trx.deleteFrom('disputes').where('method', '=', method).where('id', '=', fact.id).execute();
  const isNew = before === null || !isLinked;
  let row = isNew ? await insertDispute(context, trx, method, { fact, payment }) : before;
  const isOpening = fact.status !== 'warning' && (isNew || row.status === 'warning');
  if (isOpening) row = await hold({ context, trx, row }, payment, fact);
  if (isNew || isOpening) row = await stop({ context, trx, row });
  if (fact.funds !== null) row = await moveFunds({ context, trx, row }, fact.funds);
  if ((fact.status === 'won' || fact.status === 'lost') && row.closed_at === null)
    await close({ context, trx, row }, fact.status);
  else if (row.closed_at === null && row.status === 'warning' && fact.status === 'open')
    await change({ context, trx, row }, { status: 'open' });
}

async function findDispute(trx: Transaction, method: string, id: string): Promise<DisputeRow | null> {
  const row = await trx
    .selectFrom('disputes')
    .selectAll()
    .where('method', '=', method)
    .where('id', '=', id)
    .executeTakeFirst();
  return row ?? null;
}

async function insertDispute(
  context: Context,
  trx: Transaction,
  method: string,
  { fact, payment }: { fact: DisputeFact; payment: PaymentRow | null },
): Promise<DisputeRow> {
  const now = context.clock.now();
  const row: DisputeRow = {
    ...{ method, id: fact.id, payment_key: payment?.key ?? null, contract_id: payment?.contract_id ?? null },
    ...{ payment_ref: fact.refs.paymentRef, charge_ref: fact.refs.chargeRef },
    status: fact.status === 'warning' ? 'warning' : 'open',
    ...{ funds: 'none', amount_e9s: fact.amount.amountE9s, currency: fact.amount.currency },
    ...{ reason: fact.reason, evidence_due_at: fact.evidenceDueAt, held_from: null, paused: 0 },
    ...{ created_at: now, updated_at: now, closed_at: null },
  };
  await trx.insertInto('disputes').values(row).execute();
  trx.afterCommit(() =>
    context.log.warn({ method, dispute: fact.id, contract: row.contract_id }, 'payment.disputed'),
  );
  return row;
}

async function change({ context, trx, row }: Case, set: Partial<DisputeRow>): Promise<DisputeRow> {
  const updated = { ...set, updated_at: context.clock.now() };
  await trx
    .updateTable('disputes')
    .set(updated)
    .where('method', '=', row.method)
    .where('id', '=', row.id)
    .execute();
  return { ...row, ...updated };
}

/** Takes out of escrow (or out of a refund that has not left, or the wallet) what is left of the disputed money. */
async function hold(
  { context, trx, row }: Case,
  payment: PaymentRow,
  fact: DisputeFact,
): Promise<DisputeRow> {
  const opened = await change(
    { context, trx, row },
    { status: 'open', amount_e9s: fact.amount.amountE9s, currency: fact.amount.currency },
  );
  const contract = await stoppable({ context, trx, row: opened });
  const from = await sourceOf(trx, payment, contract);
  const heldE9s = from.leftE9s < opened.amount_e9s ? from.leftE9s : opened.amount_e9s;
  if (heldE9s <= 0n || from.currency !== opened.currency) return opened;
  await context.ledger.append(
    trx,
    disputeOpened({
      cause: `dispute:${row.id}:opened`,
      disputeId: row.id,
      contractId: row.contract_id,
      source: from.source,
      amount: { amountE9s: heldE9s, currency: from.currency },
    }),
  );
  return change({ context, trx, row: opened }, { held_from: from.name });
}

/** The contract of a dispute, which has ended where it was not even active: it cannot be paused, only given up. */
async function stoppable({ context, trx, row }: Case): Promise<ContractRow | null> {
  const contract = row.contract_id === null ? null : await findContract(trx, row.contract_id);
  if (contract === null || isTerminal(contract.state)) return contract;
  if (contract.state === 'active' || contract.state === 'paused') return contract;
  return moveContract(context, trx, contract, {
    event: 'cancel',
    actor: 'system',
    reason: 'Its payment was disputed before the instance was delivered.',
  });
}

interface HeldMoney {
  name: 'escrow' | 'refund_due' | 'wallet';
  source: DisputeSource;
  leftE9s: bigint;
  currency: string;
}

async function sourceOf(
  trx: Transaction,
  payment: PaymentRow,
  contract: ContractRow | null,
): Promise<HeldMoney> {
  const { currency } = payment;
  if (contract === null) {
    const { account_pubkey: renterPubkey } = payment;
    const balance = await balanceOf(trx, accounts.renterWallet(renterPubkey), currency);
    return { name: 'wallet', source: { renterPubkey }, leftE9s: balance.amountE9s, currency };
  }
  const money = await moneyOfContract(trx, contract.id, currency);
  return isTerminal(contract.state)
    ? {
        name: 'refund_due',
        source: { refundDueOf: contract.id },
        leftE9s: money.refundDue.amountE9s,
        currency,
      }
    : { name: 'escrow', source: { contractId: contract.id }, leftE9s: money.escrow.amountE9s, currency };
}

/** Pauses the rental, and says on it that its payment is disputed. */
async function stop({ context, trx, row }: Case): Promise<DisputeRow> {
  const contract = row.contract_id === null ? null : await findContract(trx, row.contract_id);
  if (contract === null) return row;
  let current = contract;
  if (row.status === 'open') {
    const payment_state = nextPaymentState(contract.payment_state, 'dispute');
    if (payment_state !== null) current = await touchContract(context, trx, contract, { payment_state });
  }
  if (current.state !== 'active') return row;
  await moveContract(context, trx, current, {
    event: 'pause',
    actor: 'system',
    reason:
      row.status === 'open'
        ? 'Its payment is disputed: nothing runs and nothing is earned until that is decided.'
        : 'The payment provider warns that its payment may be fraud.',
  });
  return change({ context, trx, row }, { paused: 1 });
}

/** Books what the bank took or gave back: each once, in whatever order they are told. */
async function moveFunds(
  { context, trx, row }: Case,
  funds: 'withdrawn' | 'reinstated',
): Promise<DisputeRow> {
  // Told that it came back before being told that it went: both together are nothing.
  if (row.funds === 'reinstated' || row.funds === funds) return row;
  if (row.funds === 'none' && funds === 'reinstated') return change({ context, trx, row }, { funds });
  const movement = {
    cause: `dispute:${row.id}:${funds}`,
    disputeId: row.id,
    contractId: row.contract_id,
    method: row.method,
    amount: { amountE9s: row.amount_e9s, currency: row.currency },
  };
  const set = funds === 'withdrawn' ? disputeFundsWithdrawn(movement) : disputeFundsReinstated(movement);
  await context.ledger.append(trx, set);
  return change({ context, trx, row }, { funds });
}

async function close({ context, trx, row }: Case, outcome: 'won' | 'lost'): Promise<void> {
  const closed = await change({ context, trx, row }, { status: outcome, closed_at: context.clock.now() });
  if (outcome === 'won') await win({ context, trx, row: closed });
  else await lose({ context, trx, row: closed });
}

async function win({ context, trx, row }: Case): Promise<void> {
  const held = await balanceOf(trx, accounts.disputeHeld(row.id), row.currency);
  const source = await heldSource(trx, row);
  if (held.amountE9s > 0n && source !== null) {
    const movement = { cause: `dispute:${row.id}:won`, disputeId: row.id, contractId: row.contract_id };
    await context.ledger.append(trx, disputeWon({ ...movement, source, held }));
  }
  const contract = row.contract_id === null ? null : await findContract(trx, row.contract_id);
  if (contract === null) return;
  const { refundDue, refunded } = await moneyOfContract(trx, contract.id, row.currency);
  const isRefunded = refunded.amountE9s > refundDue.amountE9s;
  const payment_state = nextPaymentState(contract.payment_state, isRefunded ? 'reinstate_part' : 'reinstate');
  let current = contract;
  if (payment_state !== null) current = await touchContract(context, trx, contract, { payment_state });
  await releaseRefunds(context, trx, contract.id);
  if (row.paused === 0 || current.state !== 'paused') return;
  const reason = 'The dispute about its payment was won.';
  await moveContract(context, trx, current, { event: 'resume', actor: 'system', reason });
}

async function heldSource(trx: Transaction, row: DisputeRow): Promise<DisputeSource | null> {
  if (row.held_from === 'escrow') return { contractId: row.contract_id ?? '' };
  if (row.held_from === 'refund_due') return { refundDueOf: row.contract_id ?? '' };
  if (row.held_from === null) return null;
  const payment = await trx
    .selectFrom('payments')
    .select('account_pubkey')
    .where('key', '=', row.payment_key ?? '')
    .executeTakeFirst();
  return payment === undefined ? null : { renterPubkey: payment.account_pubkey };
}

/** The renter's bank has paid the renter: nothing is refunded, and what the provider earned with it goes back. */
async function lose({ context, trx, row }: Case): Promise<void> {
  const taken = row.funds === 'none' ? await moveFunds({ context, trx, row }, 'withdrawn') : row;
  const money = (amountE9s: bigint) => ({ amountE9s, currency: row.currency });
  const contract = row.contract_id === null ? null : await findContract(trx, row.contract_id);
  const held = await balanceOf(trx, accounts.disputeHeld(row.id), row.currency);
  if (taken.funds === 'withdrawn') {
    const earned = contract === null ? null : await earnedWith(trx, contract);
    const openE9s = row.amount_e9s - held.amountE9s;
    const fromProviderE9s = earned === null ? 0n : earned < openE9s ? earned : openE9s;
    await context.ledger.append(
      trx,
      disputeLost({
        cause: `dispute:${row.id}:lost`,
        disputeId: row.id,
        contractId: row.contract_id,
        withdrawn: money(row.amount_e9s),
        held,
        fromProvider:
          contract === null || fromProviderE9s <= 0n
            ? null
            : { pubkey: contract.provider_pubkey, amount: money(fromProviderE9s) },
      }),
    );
    if (contract !== null && fromProviderE9s > 0n)
      await insertReversal(trx, contract, {
        cause: `dispute:${row.id}:lost`,
        amountE9s: fromProviderE9s,
        at: context.clock.now(),
      });
  }
  if (contract === null) return;
  if (row.held_from === 'refund_due') await giveUpRefunds(context, trx, contract);
  if (isTerminal(contract.state)) return;
  const ended = await moveContract(context, trx, contract, {
    event: 'cancel',
    actor: 'system',
    reason: 'The dispute about its payment was lost: the payer’s bank has paid the money back.',
  });
  await settleAfterLoss(context, trx, ended);
}

/** What was to be refunded has been paid by the bank: where that is all of it, nobody sends it any more. */
async function giveUpRefunds(context: Context, trx: Transaction, contract: ContractRow): Promise<void> {
  const { refundDue } = await moneyOfContract(trx, contract.id, contract.currency);
  if (refundDue.amountE9s > 0n) return;
  await trx
    .updateTable('refunds')
    .set({ confirmed_at: context.clock.now() })
    .where('contract_id', '=', contract.id)
    .where('confirmed_at', 'is', null)
    .execute();
}

/** What the provider itself got from this contract, less what earlier disputes took back. */
async function earnedWith(trx: Transaction, contract: ContractRow): Promise<bigint> {
  const rows = await trx
    .selectFrom('ledger_postings as p')
    .innerJoin('ledger_sets as s', 's.id', 'p.set_id')
    .select('p.amount_e9s')
    .where('s.contract_id', '=', contract.id)
    .where('p.account', '=', accounts.providerPayable(contract.provider_pubkey))
    .where('p.currency', '=', contract.currency)
    .execute();
  return rows.reduce((sum, row) => sum + row.amount_e9s, 0n);
}

/** Refunds that waited for the dispute go on at once. */
async function releaseRefunds(context: Context, trx: Transaction, contractId: string): Promise<void> {
  await trx
    .updateTable('outbox')
    .set({ not_before_at: context.clock.now(), attempts: 0, needs_attention_at: null })
    .where('topic', '=', REFUND_TOPIC.name)
    .where('key', 'like', `refund:${contractId}:%`)
    .where('done_at', 'is', null)
    .where('leased_by', 'is', null)
    .execute();
}
