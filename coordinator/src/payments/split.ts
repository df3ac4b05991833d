/** How a contract's money would be split if it ended at a moment. Pure: the page shows with it, settlement books with it. */
import { HOUR_MS } from '../contracts/contract-rules.ts';
import type { ContractRow } from '../contracts/contract-store.ts';
import { splitAtEnd } from './refund-rules.ts';

/** The split in nano-units; nothing of both where nothing was paid. */
export interface ContractSplit {
  refundE9s: bigint;
  releasedE9s: bigint;
}

/** The split of an unsettled contract at `now`. */
export function splitAt(contract: ContractRow, now: number): ContractSplit {
  if (contract.paid_at === null) return { refundE9s: 0n, releasedE9s: 0n };
  const money = (amountE9s: bigint) => ({ amountE9s, currency: contract.currency });
  const { refund, release } = splitAtEnd(
    {
      paid: money(contract.total_e9s),
      setupFee: money(contract.setup_fee_e9s),
      released: money(0n),
      rentedMs: contract.duration_hours * HOUR_MS,
      activeAt: contract.active_at,
      pausedMs: contract.paused_ms + (contract.paused_at === null ? 0 : now - contract.paused_at),
    },
    now,
  );
  return { refundE9s: refund.amountE9s, releasedE9s: release.amountE9s };
}
