/** The configuration of coordinators in tests. */
import { join } from 'node:path';
import type { CoordinatorConfig } from '../config/config.ts';

/** A coordinator of this folder, with generous rate limits and every time-out at its default. */
export function testConfig(folder: string, change: Partial<CoordinatorConfig> = {}): CoordinatorConfig {
  return {
    environment: 'test',
    publicUrl: 'http://127.0.0.1:8787',
    logLevel: 'info',
    listen: { host: '127.0.0.1', port: 0 },
    trustedProxies: [],
    metricsPort: null,
    databaseFile: join(folder, 'coordinator.sqlite'),
    keyFile: join(folder, 'coordinator.key'),
    payments: { test: true },
    prices: { sources: [], maxAgeMs: 600_000, maxDeviationPermille: 30, minSources: 2 },
    agents: { heartbeatIntervalMs: 15_000, offlineAfterMs: 50_000, leaseTtlMs: 60_000 },
    contracts: {
      requestTimeoutMs: 3_600_000,
      acceptTimeoutMs: 900_000,
      provisionTimeoutMs: 1_800_000,
      verifyTimeoutMs: 60_000,
    },
    // Whatever was delivered counts as proved: tests of earning by proof say otherwise.
    earning: { releaseIntervalMs: 86_400_000, proofMs: 100 * 31_557_600_000, evidenceGraceMs: 86_400_000 },
    refunds: { perRefund: 1000, perRenterADay: 2000, perDay: 20_000, units: {} },
    archive: { afterMs: 180 * 86_400_000, retentionYears: 10 },
    payouts: { coolingMs: 259_200_000, automatic: false, minimum: 10, stripeConnect: false },
    invoices: { seller: { name: 'Seller', address: '', country: 'DE', vat_number: null }, taxNote: null },
    rateLimits: { perKeyPerMinute: 100_000, perAgentPerMinute: 100_000, perAddressPerMinute: 100_000 },
    ...change,
  };
}
