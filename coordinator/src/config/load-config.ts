/**
 * Reads dc-coordinator.toml: parse, check against the schema, then what no schema can say, and show all problems at
 * once. `serve` and `migrate` both run it.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { checkConfig, configError, exampleLine, type ConfigProblem } from '@dc/shared/config/check-config';
import { AppError } from '@dc/shared/errors';
import type { CoordinatorConfig } from './config.ts';
import { RawConfigSchema, type RawConfig } from './config-schema.ts';
import { isLoopback } from './loopback.ts';
import { EXCHANGES } from '../prices/exchange-formats.ts';

/** Where the file is unless --config says otherwise. */
export const CONFIG_FILE = '/etc/dc-coordinator/dc-coordinator.toml';

/** Published (docs/money.md), and so not a setting: two reports of an agent that looks every five minutes. */
const PROOF_MS = 600_000;
/** An agent that was offline for a day has brought its records by then. */
const EVIDENCE_GRACE_MS = 86_400_000;

const STRIPE_API = 'https://api.stripe.com';
const ICPAY_API = 'https://api.icpay.org';

/** Flags that win over the file. */
export interface ConfigOverrides {
  port?: number | undefined;
}

/** Loads the configuration. Throws CONFIG_MISSING, or CONFIG_INVALID with every problem in its message. */
export function loadConfig(file: string, overrides: ConfigOverrides = {}): CoordinatorConfig {
  const { value, problems } = checkConfig(RawConfigSchema, parseToml(readText(file), file), { file });
  if (value === null) throw configError(problems);
  const more = findContradictions(value, file);
  if (more.length > 0) throw configError(more);
  return toConfig(value, resolve(dirname(file)), overrides);
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new AppError('CONFIG_MISSING', `There is no configuration file ${file}.`);
    throw new AppError('CONFIG_INVALID', `${file} cannot be read (${code ?? 'unknown'}).`, { cause: error });
  }
}

function parseToml(text: string, file: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ''] = error.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new AppError('CONFIG_INVALID', `${file}, line ${String(error.line)}: ${what}.`, { cause: error });
  }
}

/** What is wrong beyond the schema. */
function findContradictions(raw: RawConfig, file: string): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (key: string, found: unknown, expected: string, example: unknown): void => {
    problems.push({ file, key, found: JSON.stringify(found), expected, example: exampleLine(key, example) });
  };
  const url = URL.parse(raw.public_url);
  if (url === null || url.username !== '' || url.password !== '')
    add(
      'public_url',
      raw.public_url,
      'an address such as https://rent.example.net',
      'https://rent.example.net',
    );
  else if (!isLoopback(url.hostname)) {
    if (url.protocol !== 'https:')
      add('public_url', raw.public_url, 'https (http only on loopback)', `https://${url.host}`);
    if (raw.payments.test)
      add(
        'payments.test',
        true,
        'false: the public_url is not loopback, and the test method gives servers away',
        false,
      );
  }
  const { stripe, icpay } = raw.payments;
  const icpayBase = icpay === undefined ? null : URL.parse(icpay.api_base);
  if (icpay !== undefined && icpayBase?.protocol !== 'https:' && !isLoopback(icpayBase?.hostname ?? ''))
    add('payments.icpay.api_base', icpay.api_base, 'https, or an address on loopback', ICPAY_API);
  if (stripe !== undefined) {
    const base = URL.parse(stripe.api_base);
    if (base === null || (base.origin !== STRIPE_API && !isLoopback(base.hostname)))
      add(
        'payments.stripe.api_base',
        stripe.api_base,
        'Stripe’s own address, or one on loopback',
        STRIPE_API,
      );
    if (stripe.invoices && stripe.capture === 'at_delivery')
      add(
        'payments.stripe.invoices',
        true,
        'false, or capture = "at_once": Stripe makes no invoice of what is only authorised',
        false,
      );
  }
  const wallet = raw.payouts.icrc1;
  const walletBase = wallet === undefined ? null : URL.parse(wallet.api_base);
  if (wallet !== undefined && walletBase?.protocol !== 'https:' && !isLoopback(walletBase?.hostname ?? ''))
    add('payouts.icrc1.api_base', wallet.api_base, 'https, or an address on loopback', 'https://icp-api.io');
  if (raw.payouts.stripe_connect && stripe === undefined)
    add(
      'payouts.stripe_connect',
      true,
      'false, or a [payments.stripe] whose balance the money leaves',
      false,
    );
  const { sources, min_sources: least } = raw.prices;
  if (icpay !== undefined && sources.length < least)
    add('prices.min_sources', least, 'at most the number of sources', sources.length);
  const { heartbeat_interval_s: beat, offline_after_s: offline } = raw.agents;
  if (offline < 2 * beat)
    add(
      'agents.offline_after_s',
      offline,
      'at least twice heartbeat_interval_s, so that one lost beat is none',
      3 * beat,
    );
  return problems;
}

function toPayments(
  { test, wallet, stripe, icpay }: RawConfig['payments'],
  folder: string,
): CoordinatorConfig['payments'] {
  return {
    test,
    ...(wallet ? {} : { wallet }),
    ...(stripe === undefined
      ? {}
      : {
          stripe: {
            secretKeyFile: resolve(folder, stripe.secret_key_file),
            webhookSecretFile: resolve(folder, stripe.webhook_secret_file),
            apiBase: new URL(stripe.api_base).origin,
            capture: stripe.capture,
            automaticTax: stripe.automatic_tax,
            invoices: stripe.invoices,
            ...(stripe.usage_meter === undefined ? {} : { usageMeter: stripe.usage_meter }),
          },
        }),
    ...(icpay === undefined
      ? {}
      : {
          icpay: {
            secretKeyFile: resolve(folder, icpay.secret_key_file),
            webhookSecretFile: resolve(folder, icpay.webhook_secret_file),
            publishableKey: icpay.publishable_key,
            apiBase: new URL(icpay.api_base).origin,
            checkoutUrl: icpay.checkout_url,
            token: icpay.token,
            tokenSymbol: icpay.token_symbol,
            tokenDecimals: icpay.token_decimals,
            ledgerCanisterId: icpay.ledger_canister_id,
            webhookSignature: icpay.webhook_signature,
          },
        }),
  };
}

const toPayouts = (raw: RawConfig['payouts'], folder: string): CoordinatorConfig['payouts'] => ({
  coolingMs: raw.cooling_s * 1000,
  automatic: raw.automatic,
  minimum: raw.minimum,
  stripeConnect: raw.stripe_connect,
  ...(raw.icrc1 === undefined
    ? {}
    : {
        icrc1: {
          keyFile: resolve(folder, raw.icrc1.key_file),
          apiBase: new URL(raw.icrc1.api_base).origin,
          ledgerCanisterId: raw.icrc1.ledger_canister_id,
          indexCanisterId: raw.icrc1.index_canister_id,
          tokenSymbol: raw.icrc1.token_symbol,
          tokenDecimals: raw.icrc1.token_decimals,
          transferFee: raw.icrc1.transfer_fee,
        },
      }),
});

function toConfig(raw: RawConfig, folder: string, overrides: ConfigOverrides): CoordinatorConfig {
  const dataDir = resolve(folder, raw.data_dir);
  const {
    agents,
    contracts,
    earning,
    prices,
    refunds,
    payouts,
    invoices,
    archive,
    rate_limits: limits,
  } = raw;
  return {
    environment: raw.environment,
    publicUrl: new URL(raw.public_url).origin,
    logLevel: raw.log_level,
    listen: { host: raw.listen.host, port: overrides.port ?? raw.listen.port },
    trustedProxies: raw.listen.trusted_proxies,
    metricsPort: raw.metrics.enabled ? raw.metrics.port : null,
    databaseFile: join(dataDir, 'coordinator.sqlite'),
    keyFile: raw.key_file === undefined ? join(dataDir, 'coordinator.key') : resolve(folder, raw.key_file),
    payments: toPayments(raw.payments, folder),
    prices: {
      sources: prices.sources.map((name) => ({ name, apiBase: EXCHANGES[name].apiBase })),
      maxAgeMs: prices.max_age_s * 1000,
      maxDeviationPermille: prices.max_deviation_percent * 10,
      minSources: prices.min_sources,
    },
    agents: {
      heartbeatIntervalMs: agents.heartbeat_interval_s * 1000,
      offlineAfterMs: agents.offline_after_s * 1000,
      leaseTtlMs: agents.lease_ttl_s * 1000,
    },
    contracts: {
      requestTimeoutMs: contracts.request_timeout_s * 1000,
      acceptTimeoutMs: contracts.accept_timeout_s * 1000,
      provisionTimeoutMs: contracts.provision_timeout_s * 1000,
      verifyTimeoutMs: contracts.verify_timeout_s * 1000,
    },
    earning: {
      releaseIntervalMs: earning.release_interval_s * 1000,
      proofMs: PROOF_MS,
      evidenceGraceMs: EVIDENCE_GRACE_MS,
    },
    refunds: {
      perRefund: refunds.per_refund,
      perRenterADay: refunds.per_renter_a_day,
      perDay: refunds.per_day,
      units: refunds.units,
    },
    archive: { afterMs: archive.after_days * 86_400_000, retentionYears: archive.retention_years },
    payouts: toPayouts(payouts, folder),
    invoices: {
      seller: {
        name: invoices.seller_name === '' ? new URL(raw.public_url).hostname : invoices.seller_name,
        address: invoices.seller_address,
        country: invoices.seller_country,
        vat_number: invoices.vat_number === '' ? null : invoices.vat_number,
      },
      taxNote: invoices.tax_note === '' ? null : invoices.tax_note,
    },
    rateLimits: {
      perKeyPerMinute: limits.per_key,
      perAgentPerMinute: limits.per_agent,
      perAddressPerMinute: limits.per_address,
    },
  };
}
