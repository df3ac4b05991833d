import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from './load-config.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dc-config-test-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function write(text: string): string {
  const file = join(folder, 'dc-coordinator.toml');
  writeFileSync(file, text);
  return file;
}

function refusal(file: string): AppError {
  try {
    loadConfig(file);
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

const STRIPE_FILES = 'secret_key_file = "stripe.key"\nwebhook_secret_file = "stripe.secret"\n';
const ICPAY = `secret_key_file = "icpay.key"
webhook_secret_file = "icpay.secret"
publishable_key = "pk_1"
checkout_url = "https://pay.example.net/{intent}"
token = "ic_icp"
token_symbol = "ICP"
token_decimals = 8
ledger_canister_id = "ryjl3-tyaaa-aaaaa-aaaba-cai"
`;
const MINIMAL = 'environment = "prod"\npublic_url = "https://rent.example.net/"\n';

describe('the configuration', () => {
  it('needs a name and an address; everything else has a default', () => {
    const config = loadConfig(write(`${MINIMAL}data_dir = "data"\n`));
    expect(config).toEqual({
      environment: 'prod',
      publicUrl: 'https://rent.example.net',
      logLevel: 'info',
      listen: { host: '127.0.0.1', port: 8787 },
      trustedProxies: [],
      metricsPort: 9787,
      databaseFile: join(folder, 'data', 'coordinator.sqlite'),
      keyFile: join(folder, 'data', 'coordinator.key'),
      payments: { test: false },
      agents: { heartbeatIntervalMs: 15_000, offlineAfterMs: 50_000, leaseTtlMs: 60_000 },
      contracts: {
        requestTimeoutMs: 3_600_000,
        acceptTimeoutMs: 900_000,
        provisionTimeoutMs: 1_800_000,
        verifyTimeoutMs: 60_000,
      },
      prices: {
        sources: [
          { name: 'coinbase', apiBase: 'https://api.exchange.coinbase.com' },
          { name: 'kraken', apiBase: 'https://api.kraken.com' },
          { name: 'binance', apiBase: 'https://api.binance.com' },
          { name: 'coingecko', apiBase: 'https://api.coingecko.com' },
        ],
        ...{ maxAgeMs: 600_000, maxDeviationPermille: 30, minSources: 2 },
      },
      earning: { releaseIntervalMs: 86_400_000, proofMs: 600_000, evidenceGraceMs: 86_400_000 },
      payouts: { coolingMs: 259_200_000, automatic: false, minimum: 10, stripeConnect: false },
      refunds: { perRefund: 1000, perRenterADay: 2000, perDay: 20_000, units: {} },
      archive: { afterMs: 180 * 86_400_000, retentionYears: 10 },
      invoices: {
        seller: { name: 'rent.example.net', address: '', country: '', vat_number: null },
        taxNote: null,
      },
      rateLimits: { perKeyPerMinute: 600, perAgentPerMinute: 6000, perAddressPerMinute: 600 },
    });
  });

  it('takes how many of a currency count as one in the bounds of refunds', () => {
    const file = write(`${MINIMAL}\n[refunds]\nper_refund = 10\nunits = { JPY = 150 }\n`);
    expect(loadConfig(file).refunds).toMatchObject({ perRefund: 10, units: { JPY: 150 } });
    const wrong = write(`${MINIMAL}\n[refunds]\nunits = { yen = 150 }\n`);
    expect(() => loadConfig(wrong)).toThrow('refunds.units.yen');
  });

  it('takes what is written, and a port of the command line over it', () => {
    const text = `${MINIMAL}key_file = "/keys/c.key"\n[listen]\nport = 1\n[metrics]\nenabled = false\n[agents]\nlease_ttl_s = 7\n`;
    const config = loadConfig(write(text), { port: 0 });
    expect(config.listen.port).toBe(0);
    expect(config.metricsPort).toBeNull();
    expect(config.keyFile).toBe('/keys/c.key');
    expect(config.agents.leaseTtlMs).toBe(7000);
    expect(loadConfig(write(text)).listen.port).toBe(1);
  });

  it('shows all problems at once, each with what was found, expected, and an example', () => {
    const error = refusal(
      write(
        'enviroment = "prod"\npublic_url = "rent.example.net"\n[listen]\nport = "80"\n[rate_limits]\nper_key = 0\n',
      ),
    );
    expect(error.code).toBe('CONFIG_INVALID');
    for (const part of [
      'has 5 problems',
      'enviroment',
      'did you mean environment?',
      'public_url',
      'example   public_url = "https://rent.example.net"',
      'found     "80"',
      'expected  an integer from 0 to 65535',
      'rate_limits.per_key',
    ])
      expect(error.message).toContain(part);
  });

  it.each([
    ['the test method where anybody could use it', `${MINIMAL}[payments]\ntest = true\n`, 'payments.test'],
    [
      'plain http where anybody can listen',
      'environment = "x"\npublic_url = "http://rent.example.net"\n',
      'public_url',
    ],
    [
      'a user in the address',
      'environment = "x"\npublic_url = "https://me@rent.example.net"\n',
      'public_url',
    ],
    [
      'agents offline between two beats',
      `${MINIMAL}[agents]\noffline_after_s = 20\n`,
      'agents.offline_after_s',
    ],
    [
      'a Stripe elsewhere than at Stripe or on loopback',
      `${MINIMAL}[payments.stripe]\n${STRIPE_FILES}api_base = "https://stripe.example.net"\n`,
      'payments.stripe.api_base',
    ],
    [
      'invoices of what is only authorised',
      `${MINIMAL}[payments.stripe]\n${STRIPE_FILES}invoices = true\n`,
      'payments.stripe.invoices',
    ],
    [
      'an ICPay without TLS',
      `${MINIMAL}[payments.icpay]\n${ICPAY}api_base = "http://icpay.example.net"\n`,
      'payments.icpay.api_base',
    ],
    [
      'more sources of rates that must agree than there are',
      `${MINIMAL}[payments.icpay]\n${ICPAY}[prices]\nsources = ["kraken"]\n`,
      'prices.min_sources',
    ],
    ['a source of rates that nobody knows', `${MINIMAL}[prices]\nsources = ["mtgox"]\n`, 'prices.sources'],
  ])('refuses %s', (_, text, key) => {
    const error = refusal(write(text));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(`  ${key}\n`);
  });

  it.each(['http://127.0.0.1:8787', 'http://localhost:8787', 'http://[::1]:8787'])(
    'takes the test method on %s',
    (url) => {
      const file = write(`environment = "x"\npublic_url = "${url}"\n[payments]\ntest = true\n`);
      expect(loadConfig(file)).toMatchObject({ publicUrl: url, payments: { test: true } });
    },
  );

  it('takes payments elsewhere, with their secrets in files beside it', () => {
    const stripe = `[payments.stripe]\n${STRIPE_FILES}capture = "at_once"\nautomatic_tax = true\n`;
    const file = write(`${MINIMAL}[payments]\nwallet = false\n${stripe}[payments.icpay]\n${ICPAY}`);
    expect(loadConfig(file).payments).toMatchObject({
      ...{ test: false, wallet: false },
      stripe: {
        secretKeyFile: join(folder, 'stripe.key'),
        ...{ apiBase: 'https://api.stripe.com', capture: 'at_once', automaticTax: true, invoices: false },
      },
      icpay: {
        ...{ webhookSecretFile: join(folder, 'icpay.secret'), token: 'ic_icp', webhookSignature: 'timed' },
        ...{ tokenSymbol: 'ICP', tokenDecimals: 8 },
      },
    });
  });

  it('says in which line the TOML is wrong', () => {
    const error = refusal(write(`${MINIMAL}[listen\nport = 1\n`));
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(error.message).toContain('line 3');
  });

  it('says where it looked when there is none', () => {
    const error = refusal(join(folder, 'nothing.toml'));
    expect(error.code).toBe('CONFIG_MISSING');
    expect(error.message).toContain('nothing.toml');
    expect(refusal(folder).code).toBe('CONFIG_INVALID');
  });
});
