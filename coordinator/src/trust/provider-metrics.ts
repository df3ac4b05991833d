/** What has become of a provider's contracts of the last 30 days, and how fast they were delivered. */
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { WireProviderMetrics } from '@dc/shared/wire/trust';
import type { Reader } from '../database/database.ts';
import { WINDOW_MS } from './uptime-view.ts';

export async function viewMetrics(reader: Reader, pubkey: string, now: number): Promise<WireProviderMetrics> {
  const from = now - WINDOW_MS;
  const rows = await reader
    .selectFrom('contracts')
    .select(['state', 'paid_at', 'active_at'])
    .where('provider_pubkey', '=', pubkey)
    .where('created_at', '>', from)
    .execute();
  const count = (state: string): number => rows.filter((row) => row.state === state).length;
  const durations = rows
    .flatMap(({ paid_at: paid, active_at: active }) =>
      paid === null || active === null ? [] : [active - paid],
    )
    .toSorted((a, b) => a - b);
  const at = (share: number): number => durations[Math.ceil(share * durations.length) - 1] ?? 0;
  return {
    from: toTimestamp(from),
    to: toTimestamp(now),
    contracts: {
      ordered: rows.length,
      delivered: durations.length,
      rejected: count('rejected'),
      failed: count('failed'),
      cancelled: count('cancelled'),
      completed: count('expired'),
    },
    delivery_ms: durations.length === 0 ? null : { count: durations.length, median: at(0.5), p95: at(0.95) },
  };
}
