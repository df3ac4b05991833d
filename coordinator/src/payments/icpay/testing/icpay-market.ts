/** A market whose renters pay with ICPay: a whole coordinator, and the stand-in. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { WireTokenRate } from '@dc/shared/wire/rate';
import type { CoordinatorConfig, IcpayConfig } from '../../../config/config.ts';
import { ExchangeStandIn } from '../../../prices/testing/exchange-stand-in.ts';
import { openMarket, type Market } from '../../../testing/rental.ts';
import { startTestCoordinator, until } from '../../../testing/test-coordinator.ts';
import { PRICE_PER_HOUR } from '../../stripe/testing/stripe-market.ts';
import {
  ICPAY_LEDGER,
  ICPAY_PUBLISHABLE_KEY,
  ICPAY_SECRET_KEY,
  ICPAY_WEBHOOK_SECRET,
  IcpayStandIn,
} from './icpay-stand-in.ts';

export interface IcpayMarket extends Market {
  standIn: IcpayStandIn;
  exchanges: ExchangeStandIn;
  deliver: (body: string, signature: string) => Promise<number>;
}

/** Opens it. `delivers: false` holds all events back. */
export async function openIcpayMarket(
  options: {
    icpay?: Partial<IcpayConfig>;
    prices?: Partial<CoordinatorConfig['prices']>;
    delivers?: boolean;
  } = {},
): Promise<IcpayMarket> {
  const clock = new ManualClock();
  const standIn = new IcpayStandIn(clock);
  await standIn.listen();
  onTestFinished(() => standIn.close());
  const folder = mkdtempSync(join(tmpdir(), 'dc-icpay-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const secretKeyFile = join(folder, 'icpay.key');
  const webhookSecretFile = join(folder, 'webhook.secret');
  writeFileSync(secretKeyFile, ICPAY_SECRET_KEY, { mode: 0o600 });
  writeFileSync(webhookSecretFile, ICPAY_WEBHOOK_SECRET, { mode: 0o600 });
  const icpay: IcpayConfig = {
    ...{ secretKeyFile, webhookSecretFile, publishableKey: ICPAY_PUBLISHABLE_KEY, apiBase: standIn.url },
    ...{
      checkoutUrl: `${standIn.url}/pay/{intent}?back={return}`,
      token: 'ic_icp',
      tokenSymbol: 'ICP',
      tokenDecimals: 8,
    },
    ...{ ledgerCanisterId: ICPAY_LEDGER, webhookSignature: 'timed' },
    ...options.icpay,
  };
  const exchanges = new ExchangeStandIn(clock);
  await exchanges.listen();
  onTestFinished(() => exchanges.close());
  // Rates that never age, unless a test is about them.
  const prices = { sources: exchanges.sources, maxAgeMs: Infinity, maxDeviationPermille: 30, minSources: 2 };
  const config = { payments: { test: false, icpay }, prices: { ...prices, ...options.prices } };
  const coordinator = await startTestCoordinator({ clock, config });
  await until(async () => {
    const { items } = (await coordinator.client.get<{ items: WireTokenRate[] }>('/rates')).body;
    return items[0]?.quotes.every(({ used }) => used) === true;
  }, 'the rates');
  const deliver: IcpayMarket['deliver'] = async (payload, signature) => {
    const headers = {
      host: '127.0.0.1:8787',
      'content-type': 'application/json',
      'x-icpay-signature': signature,
    };
    const url = '/api/v1/webhooks/icpay';
    return (await coordinator.app.inject({ method: 'POST', url, headers, payload })).statusCode;
  };
  if (options.delivers !== false) standIn.deliverTo(deliver);
  const market = await openMarket({ coordinator, offering: { price_per_hour: PRICE_PER_HOUR } });
  return { ...market, standIn, exchanges, deliver };
}

/** The intent of a checkout. */
export function intentOf(checkoutUrl: string | null): string {
  return /\/pay\/([^?]+)/.exec(checkoutUrl ?? '')?.[1] ?? '';
}
