/** The coordinator's settings after loading: validated, with defaults. config-schema.ts says what may be written. */
import type { Party } from '../invoices/document.ts';
import type { LogLevel } from '../lib/log.ts';
import type { RefundBounds } from '../payments/refund-bounds.ts';
import type { ExchangeName } from '../prices/exchange-formats.ts';

/** How Stripe is reached, and what is asked of it. The secrets themselves stay in their files. */
export interface StripeConfig {
  secretKeyFile: string;
  webhookSecretFile: string;
  apiBase: string;
  capture: 'at_delivery' | 'at_once';
  automaticTax: boolean;
  invoices: boolean;
  /** The event name of the meter that is told of charges for use. */
  usageMeter?: string;
}

/** How ICPay is reached, and which token is taken. */
export interface IcpayConfig {
  secretKeyFile: string;
  webhookSecretFile: string;
  publishableKey: string;
  apiBase: string;
  checkoutUrl: string;
  token: string;
  /** How exchanges call that token, or what it stands for; and the decimals of its ledger. */
  tokenSymbol: string;
  tokenDecimals: number;
  ledgerCanisterId: string;
  webhookSignature: 'timed' | 'bare';
}

/** The wallet that providers are paid from, and its token. The key itself stays in its file. */
export interface Icrc1Config {
  keyFile: string;
  apiBase: string;
  ledgerCanisterId: string;
  indexCanisterId: string;
  tokenSymbol: string;
  tokenDecimals: number;
  /** Base units. */
  transferFee: number;
}

/** See config-schema.ts for what each means to an operator. */
export interface CoordinatorConfig {
  /** Name of this installation ("prod", "demo"); part of seals, orders and records, so that two never mix. */
  environment: string;
  /** The address that renters and agents use; no trailing slash. */
  publicUrl: string;
  logLevel: LogLevel;
  listen: { host: string; port: number };
  /** Proxies in front, as addresses or networks, whose X-Forwarded-For is believed. */
  trustedProxies: readonly string[];
  /** Loopback port of /metrics; null for none. 0 lets the system choose. */
  metricsPort: number | null;
  databaseFile: string;
  keyFile: string;
  payments: {
    /** The `test` method; refused where publicUrl is not loopback. */
    test: boolean;
    /** Whether renters can have a wallet, where something can fill it. True unless said otherwise. */
    wallet?: boolean;
    stripe?: StripeConfig;
    icpay?: IcpayConfig;
  };
  /** What tokens cost: who is asked, and which answers count. */
  prices: {
    sources: readonly { name: ExchangeName; apiBase: string }[];
    maxAgeMs: number;
    /** How far one may be from the median, in thousandths of it. */
    maxDeviationPermille: number;
    minSources: number;
  };
  agents: {
    heartbeatIntervalMs: number;
    /** An agent without a heartbeat for this long is offline. */
    offlineAfterMs: number;
    leaseTtlMs: number;
  };
  contracts: {
    /** An unpaid request is cancelled after this. */
    requestTimeoutMs: number;
    /** A paid contract that nobody took is rejected and refunded after this. */
    acceptTimeoutMs: number;
    /** A contract that is not delivered this long after its lease fails and is refunded. */
    provisionTimeoutMs: number;
    /** How long the coordinator tries to see the SSH host key itself before the agent's own check counts. */
    verifyTimeoutMs: number;
  };
  earning: {
    /** How often what was earned is released to providers. */
    releaseIntervalMs: number;
    /** How long a record that says `healthy` proves the time after it. Part of the published formula (docs/money.md). */
    proofMs: number;
    /** How long evidence of a contract's time may come late. */
    evidenceGraceMs: number;
  };
  /** Up to where refunds leave without a person. */
  refunds: RefundBounds;
  /** What becomes of contracts that ended long ago. */
  archive: { afterMs: number; retentionYears: number };
  /** How providers are paid without a person; by hand always works. */
  payouts: {
    /** A destination counts this long after it was set. */
    coolingMs: number;
    /** What is owed is requested once a day, from `minimum` whole units on. */
    automatic: boolean;
    minimum: number;
    /** Transfers to Stripe accounts, by the Stripe of `payments`. */
    stripeConnect: boolean;
    /** Transfers of a token on the Internet Computer. */
    icrc1?: Icrc1Config;
  };
  /** What stands on invoices beside what was bought. */
  invoices: {
    seller: Party;
    /** What is said where no tax is charged; null for nothing. */
    taxNote: string | null;
  };
  rateLimits: {
    /** Requests a minute for a key or session; bursts of a fifth of it. */
    perKeyPerMinute: number;
    /** Requests a minute for an agent key. */
    perAgentPerMinute: number;
    /** Unsigned or refused requests a minute for an address. */
    perAddressPerMinute: number;
  };
}
