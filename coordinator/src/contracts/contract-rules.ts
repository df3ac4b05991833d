/** Pure decisions about contracts: what one costs, who may see it, what may be done with it, what is said of it. */
import { AppError } from '@dc/shared/errors';
import { allowedEvents } from '@dc/shared/state/state-machine';
import { CONTRACT_TRANSITIONS, type ContractEvent, type ContractState } from '@dc/shared/state/contract';
import type { Principal } from '../http/principal.ts';
import type { ContractRow } from './contract-store.ts';

const INT64_MAX = 2n ** 63n - 1n;
export const HOUR_MS = 3_600_000;

/** What `hours` of an offering cost in nano-units, setup fee included. Throws MONEY_RANGE past 64 bits. */
export function totalPriceE9s(
  offering: { price_per_hour_e9s: bigint; setup_fee_e9s: bigint },
  hours: number,
): bigint {
  const total = offering.price_per_hour_e9s * BigInt(hours) + offering.setup_fee_e9s;
  if (total > INT64_MAX) throw new AppError('MONEY_RANGE', 'The total is larger than can be booked.');
  return total;
}

/** What `hours` more cost: the contract's own rate, and no set-up fee. Throws MONEY_RANGE where it gets too dear. */
export function extensionPriceE9s(
  contract: Pick<ContractRow, 'total_e9s' | 'setup_fee_e9s' | 'duration_hours'>,
  hours: number,
): bigint {
  // Exact: the total is the rate times the hours, and the fee.
  const perHour = (contract.total_e9s - contract.setup_fee_e9s) / BigInt(contract.duration_hours);
  const price = perHour * BigInt(hours);
  if (contract.total_e9s + price > INT64_MAX)
    throw new AppError('MONEY_RANGE', 'The total is larger than can be booked.');
  return price;
}

/** What a pause leaves behind when it is over at `now`: it is not used time, and it moves the end by as much. */
export function endOfPause(
  { paused_at: pausedAt, paused_ms: pausedMs, ends_at: endsAt }: ContractRow,
  now: number,
): Pick<ContractRow, 'paused_at' | 'paused_ms' | 'ends_at'> {
  const lastedMs = pausedAt === null ? 0 : Math.max(0, now - pausedAt);
  return {
    paused_at: null,
    paused_ms: pausedMs + lastedMs,
    ends_at: endsAt === null ? null : endsAt + lastedMs,
  };
}

/** Whether the caller may read the contract: its renter, its provider, an agent of that provider's pool, an admin. */
export function maySee(principal: Principal, contract: ContractRow): boolean {
  switch (principal.kind) {
    case 'account':
      return (
        principal.isAdmin ||
        principal.account === contract.renter_pubkey ||
        principal.account === contract.provider_pubkey
      );
    case 'agent':
      return principal.provider === contract.provider_pubkey && principal.poolId === contract.pool_id;
    case 'key':
    case 'anonymous':
      return false;
  }
}

/** The error for an event that the state does not allow: says what it does allow. */
export function stateError(state: ContractState, event: ContractEvent): AppError {
  const allowed = allowedEvents(CONTRACT_TRANSITIONS, state);
  const rest = allowed.length === 0 ? 'It has ended.' : `It allows: ${allowed.join(', ')}.`;
  return new AppError('CONTRACT_STATE', `The contract is ${state} and does not allow ${event}. ${rest}`);
}

/** How a renter logs in, ready to paste. The user name and host come from an agent: nothing but plain words is let in. */
export function sshCommand(host: string, port: number, user: string): string {
  return `ssh -p ${String(port)} ${user}@${host}`;
}
