/**
 * More time for a contract: asked for while it is active, and given when its money is confirmed, at the rate that the
 * contract began with. Money that comes when the contract cannot take it any more goes back.
 */
import { AppError } from '@dc/shared/errors';
import { toWire } from '@dc/shared/money/money';
import type { WireContract } from '@dc/shared/wire/contract';
import { newUuid } from '@dc/shared/ids';
import type { Context } from '../context.ts';
import type { Reader, Transaction } from '../database/database.ts';
import { findOffering } from '../offerings/offering-store.ts';
import { assertMayExtend } from '../usage/usage-meter.ts';
import { extensionPriceE9s } from './contract-rules.ts';
import { extendTerm, touchContract } from './contract-service.ts';
import type { ContractRow } from './contract-store.ts';
import { insertExtension, settleExtension, type ExtensionRow } from './extension-store.ts';

/** Why the contract cannot have `hours` more, or null where it can. A paused one has its end before it as well. */
async function obstacle(
  trx: Transaction,
  contract: ContractRow,
  { hours, now }: { hours: number; now: number },
): Promise<AppError | null> {
  const { state, ends_at: endsAt } = contract;
  if (state !== 'active' && state !== 'paused')
    return new AppError('CONTRACT_STATE', `The contract is ${state}: only an active one can be extended.`);
  if (state === 'active' && (endsAt ?? 0) <= now)
    return new AppError('CONTRACT_STATE', 'The time of the contract is over.');
  const offering = await findOffering(trx, contract.offering_id);
  const left = (offering?.max_hours ?? 0) - contract.duration_hours;
  if (hours <= left) return null;
  return new AppError(
    'DURATION_OUT_OF_RANGE',
    `The offering is rented for ${String(offering?.max_hours)} hours at most, and ${String(contract.duration_hours)} are rented.`,
    {
      remedy:
        left > 0 ? `Extend by ${String(left)} hours or less.` : 'Rent another one when this one has ended.',
      fields: [{ pointer: '/hours', detail: `must be at most ${String(Math.max(left, 0))}` }],
    },
  );
}

/** What more time costs and how much can be had, as the renter is told before asking; null while none can. */
export async function viewExtending(
  reader: Reader,
  contract: ContractRow,
): Promise<NonNullable<WireContract['may_extend']> | null> {
  if (contract.state !== 'active') return null;
  const offering = await findOffering(reader, contract.offering_id);
  const hoursMax = (offering?.max_hours ?? 0) - contract.duration_hours;
  if (hoursMax <= 0) return null;
  const amountE9s = extensionPriceE9s(contract, 1);
  return { price_per_hour: toWire({ amountE9s, currency: contract.currency }), hours_max: hoursMax };
}

/** Notes what is to be paid. Throws CONTRACT_STATE, DURATION_OUT_OF_RANGE, USAGE_UNPAID or MONEY_RANGE; then nothing was changed. */
export async function requestExtension(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  hours: number,
): Promise<ExtensionRow> {
  const now = context.clock.now();
  if (contract.state === 'paused') throw new AppError('CONTRACT_STATE', 'The contract is paused.');
  const problem = await obstacle(trx, contract, { hours, now });
  if (problem !== null) throw problem;
  await assertMayExtend(trx, contract, now);
  const extension: ExtensionRow = {
    id: newUuid(context.clock, context.random),
    contract_id: contract.id,
    hours,
    price_e9s: extensionPriceE9s(contract, hours),
    state: 'pending',
    created_at: now,
    settled_at: null,
  };
  await insertExtension(trx, extension);
  await touchContract(context, trx, contract, {});
  return extension;
}

/** Gives the time that was paid for; false where the contract cannot take it any more, and its money must go back. */
export async function giveExtension(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  extension: ExtensionRow,
): Promise<boolean> {
  const now = context.clock.now();
  const { hours, price_e9s: priceE9s } = extension;
  const isPossible = (await obstacle(trx, contract, { hours, now })) === null;
  await settleExtension(trx, extension.id, { state: isPossible ? 'paid' : 'refunded', at: now });
  if (isPossible) await extendTerm(context, trx, contract, { hours, priceE9s });
  else await touchContract(context, trx, contract, {});
  return isPossible;
}

/** Its payment failed: the contract goes on as it was. */
export async function dropExtension(
  context: Context,
  trx: Transaction,
  contract: ContractRow,
  extension: ExtensionRow,
): Promise<void> {
  if (extension.state !== 'pending') return;
  await settleExtension(trx, extension.id, { state: 'failed', at: context.clock.now() });
  await touchContract(context, trx, contract, {});
}
