/** A market whose offering charges for use, its events, and time that passes over whole billing periods. */
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireCreateContract, WireContract } from '@dc/shared/wire/contract';
import type { WireCreateOffering } from '@dc/shared/wire/offering';
import type { WireUsage, WireUsageEvent, WireUsageReported } from '@dc/shared/wire/usage';
import { walletBalances } from '../../payments/wallet/wallet-store.ts';
import { expectStatus } from '../../testing/people.ts';
import { atPrivateAddress, openMarket, reaches, rent, type Market } from '../../testing/rental.ts';
import type { TestCoordinator } from '../../testing/test-coordinator.ts';

export const HOUR_MS = 3_600_000;
export const usd = (amountE9s: bigint) => ({ amount_e9s: String(amountE9s), currency: 'USD' });
/** 0.02 USD an hour of use; 10 hours every 30 days are included. */
export const USAGE_PRICE: Partial<WireCreateOffering> = {
  pricing_model: 'usage',
  billing_unit: 'hour',
  price_per_unit: usd(20_000_000n),
  included_units: 10,
  max_hours: 8760,
};
export const CAP = 5_000_000_000n;

export function openUsageMarket(
  options: { coordinator?: TestCoordinator; offering?: Partial<WireCreateOffering> } = {},
): Promise<Market> {
  return openMarket({ ...options, offering: { ...USAGE_PRICE, ...options.offering } });
}

/** A contract of 60 days that is active. */
export async function rentMetered(
  market: Market,
  change: Partial<WireCreateContract> = {},
): Promise<WireContract> {
  const { id } = await rent(market, { duration_hours: 60 * 24, usage_cap: usd(CAP), ...change });
  await market.agent.beat();
  const lease = await market.agent.leaseOne();
  await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
  return reaches(market, id, 'active');
}

/** When the contract became active. */
export const startOf = ({ active_at: at }: WireContract): number => Date.parse(at ?? '');

export const session = (id: string, at: number, ms: number): WireUsageEvent => ({
  ...{ id, kind: 'session', at: toTimestamp(at), ended_at: toTimestamp(at + ms) },
});
export const beatAt = (id: string, at: number): WireUsageEvent => ({
  ...{ id, kind: 'heartbeat', at: toTimestamp(at) },
});
export const countAt = (id: string, at: number, unitsE9s: bigint): WireUsageEvent => ({
  ...{ id, kind: 'counter', at: toTimestamp(at), units_e9s: String(unitsE9s) },
});

/** The agent reports. */
export async function report(
  { coordinator, agent }: Market,
  id: string,
  events: readonly WireUsageEvent[],
): Promise<WireUsageReported> {
  const answer = await coordinator.client.post<WireUsageReported>(
    `/contracts/${id}/usage`,
    { events },
    { key: agent.key },
  );
  return expectStatus(answer, 200);
}

/** As the renter sees it. */
export async function usageOf({ coordinator, renter }: Market, id: string): Promise<WireUsage> {
  return expectStatus(
    await coordinator.client.get<WireUsage>(`/contracts/${id}/usage`, { key: renter }),
    200,
  );
}

export async function walletOf({ coordinator, renter }: Market): Promise<bigint> {
  const [balance] = await walletBalances(coordinator.context.db.read, renter.publicKey);
  return balance?.amountE9s ?? 0n;
}

let topUps = 0;
export async function topUp({ coordinator, renter }: Market, amountE9s: bigint): Promise<void> {
  const body = { amount: usd(amountE9s), payment_method: 'test' };
  const options = { key: renter, idempotencyKey: `top-up-${String((topUps += 1))}` };
  expectStatus(await coordinator.client.post('/wallet/top-ups', body, options), 201);
}
