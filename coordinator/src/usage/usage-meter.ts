/**
 * A contract's meter: made with the contract, from what its offering charges and what its renter accepts to pay at
 * most; wound up when the rental starts and when it ends.
 */
import { AppError } from '@dc/shared/errors';
import { fromWire, type WireMoney } from '@dc/shared/money/money';
import type { Transaction } from '../database/database.ts';
import { PERIOD_MS } from './usage-rules.ts';
import { findMeter, findOldestUnpaid, findOfferingUsage, insertMeter, updateMeter } from './usage-store.ts';

/** A period is charged this long after its end: what agents tell later is charged by the difference. */
export const CLOSE_AFTER_MS = 3_600_000;
/** How long a charge may stay unpaid before its renter can use nothing more that is charged by use. */
const UNPAID_MS_MAX = 7 * 86_400_000;

/** The contract, as far as its meter needs it. */
interface MeteredContract {
  id: string;
  offering_id: string;
  renter_pubkey: string;
  currency: string;
}

/**
 * Makes the meter of a new contract, where its offering charges for use. Throws USAGE_CAP_REQUIRED unless the renter
 * accepted a cap in the contract's currency, and USAGE_UNPAID.
 */
export async function openMeter(
  trx: Transaction,
  contract: MeteredContract,
  { cap, now }: { cap: WireMoney | undefined; now: number },
): Promise<void> {
  const usage = await findOfferingUsage(trx, contract.offering_id);
  if (usage === null) return;
  const accepted = cap === undefined ? null : fromWire(cap);
  if (accepted === null || accepted.currency !== contract.currency || accepted.amountE9s < 0n)
    throw new AppError('USAGE_CAP_REQUIRED', undefined, {
      fields: [{ pointer: '/usage_cap', detail: `must be an amount in ${contract.currency}` }],
    });
  await assertPaid(trx, contract.renter_pubkey, now);
  await insertMeter(trx, {
    contract_id: contract.id,
    billing_unit: usage.billing_unit,
    currency: contract.currency,
    unit_price_e9s: usage.unit_price_e9s,
    included_units: usage.included_units,
    cap_e9s: accepted.amountE9s,
    closed_until_at: null,
    billed_seq: 0,
    due_at: null,
  });
}

/** Throws USAGE_UNPAID where more time is asked for a contract that charges for use, and its renter owes too long. */
export async function assertMayExtend(
  trx: Transaction,
  contract: Pick<MeteredContract, 'id' | 'renter_pubkey'>,
  now: number,
): Promise<void> {
  if ((await findMeter(trx, contract.id)) !== null) await assertPaid(trx, contract.renter_pubkey, now);
}

async function assertPaid(trx: Transaction, renter: string, now: number): Promise<void> {
  const oldest = await findOldestUnpaid(trx, renter);
  if (oldest !== null && now - oldest > UNPAID_MS_MAX) throw new AppError('USAGE_UNPAID');
}

/** The rental starts: its first period is charged when it is over. */
export async function startMeter(trx: Transaction, contractId: string, at: number): Promise<void> {
  await updateMeter(trx, contractId, { closed_until_at: at, due_at: at + PERIOD_MS + CLOSE_AFTER_MS });
}

/** The rental has ended: what is open is charged soon. Nothing where it never started. */
export async function endMeter(trx: Transaction, contractId: string, at: number): Promise<void> {
  const meter = await findMeter(trx, contractId);
  if (meter === null || meter.closed_until_at === null) return;
  await updateMeter(trx, contractId, { due_at: at + CLOSE_AFTER_MS });
}
