/** Puts the ways of paying together, by what is configured: their providers, routes and jobs. */
import type { Clock } from '@dc/shared/clock';
import { seedFromHex } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import type { CoordinatorConfig, Icrc1Config } from './config/config.ts';
import { isLoopback } from './config/loopback.ts';
import { readSecretFile } from './config/secret-file.ts';
import type { Context } from './context.ts';
import type { Route } from './http/route.ts';
import type { JobRunner } from './jobs/job-runner.ts';
import {
  capturePayment,
  closePayment,
  lookAtPayment,
  openPayment,
  sweepPayments,
  type Payments,
} from './payments/checkouts.ts';
import { CAPTURE_TOPIC, CLOSE_TOPIC, LOOK_TOPIC, OPEN_TOPIC } from './payments/payment-asks.ts';
import { paymentAdminRoutes } from './payments/payment-admin-routes.ts';
import { createIcpayPayment } from './payments/icpay/icpay-payment.ts';
import type { PaymentProvider } from './payments/payment-provider.ts';
import { createIcrc1Payout } from './payments/icrc1/icrc1-payout.ts';
import { payoutDestinationRoutes } from './payments/payout-destination-routes.ts';
import type { PayoutRoute } from './payments/payout-route.ts';
import { payoutRoutes } from './payments/payout-routes.ts';
import { requestPayouts } from './payments/payout-run.ts';
import { PAYOUT_TOPIC, sendPayout, type PayoutParts } from './payments/payout-transfer.ts';
import { createStripeConnect } from './payments/stripe/stripe-connect.ts';
import { reportRoutes } from './payments/report-routes.ts';
import { sendRefund } from './payments/refund-job.ts';
import { invoiceRoutes } from './invoices/invoice-routes.ts';
import { spendingRoutes } from './invoices/spending-routes.ts';
import { refundGateRoutes } from './payments/refund-gate-routes.ts';
import { REFUND_TOPIC } from './payments/refund-topic.ts';
import { createStripeMeter } from './payments/stripe/stripe-meter.ts';
import { createStripePayment } from './payments/stripe/stripe-payment.ts';
import { createTestPayment } from './payments/test-payment.ts';
import { walletRoutes } from './payments/wallet/wallet-routes.ts';
import { createWalletPayment } from './payments/wallet/wallet-payment.ts';
import { askSources, ASK_SOURCES_EVERY_MS } from './prices/ask-sources.ts';
import { EXCHANGES } from './prices/exchange-formats.ts';
import { createHttpRateSource } from './prices/http-rate-source.ts';
import type { Pair } from './prices/rate-source.ts';
import { CHARGE_EVERY_MS, chargeUsage } from './usage/charge-usage.ts';
import { askForReport, reportUsage, USAGE_REPORT_TOPIC } from './usage/report-usage.ts';
import type { UsageReporter } from './usage/usage-reporter.ts';
import { webhookRoutes } from './payments/webhook-routes.ts';

/** How long a payment that no event told of may wait, beyond its own time. */
const SWEEP_EVERY_MS = 30_000;
const REQUEST_PAYOUTS_EVERY_MS = 86_400_000;

/** The ways of paying, in the order in which they are offered. Throws KEY_FILE_INVALID and KEY_FILE_UNSAFE. */
export function createPayments(
  config: CoordinatorConfig,
  clock: Clock,
  others: readonly PaymentProvider[],
): Payments {
  const { test, stripe, icpay } = config.payments;
  const providers: PaymentProvider[] = [...others];
  if (stripe !== undefined) {
    const [secretKey] = readSecretFile(stripe.secretKeyFile, 'the secret key of Stripe');
    const webhookSecrets = readSecretFile(stripe.webhookSecretFile, 'the secret of Stripe’s webhook');
    providers.push(
      createStripePayment({ ...stripe, secretKey, webhookSecrets, publicUrl: config.publicUrl }),
    );
  }
  if (icpay !== undefined) {
    const [secretKey] = readSecretFile(icpay.secretKeyFile, 'the secret key of ICPay');
    const webhookSecrets = readSecretFile(icpay.webhookSecretFile, 'the secret of ICPay’s webhook');
    const settings = { ...icpay, secretKey, webhookSecrets, publicUrl: config.publicUrl };
    providers.push(createIcpayPayment(settings, clock));
  }
  // A wallet that nothing can fill is no way to pay.
  const hasWallet = config.payments.wallet ?? true;
  if (hasWallet && providers.some(({ online }) => online?.capabilities.topsUp === true))
    providers.push(createWalletPayment());
  if (test) providers.unshift(createTestPayment());
  return new Map(providers.map((provider) => [provider.method, provider]));
}

/** The tokens that are paid with, by renters or to providers; ICPay's prices are in US dollars. */
export function tokenPairs({ payouts }: CoordinatorConfig, payments: Payments): Pair[] {
  const taken = [...payments.values()].flatMap(({ online }) => online?.capabilities.token ?? []);
  const tokens = [...taken, ...(payouts.icrc1 === undefined ? [] : [payouts.icrc1.tokenSymbol])];
  return [...new Set(tokens)].map((token) => ({ token, currency: 'USD' }));
}

/** Throws KEY_FILE_INVALID and KEY_FILE_UNSAFE, with nothing of what is in the file. */
function readWalletKey(file: string): Uint8Array {
  const [line] = readSecretFile(file, 'the key of the payout wallet');
  try {
    return seedFromHex(line);
  } catch {
    // The parser's own words could hold a part of the key: they are left out.
    throw new AppError(
      'KEY_FILE_INVALID',
      `The file ${file} does not hold the wallet’s key: 32 bytes in hex.`,
    );
  }
}

function createIcrc1(settings: Icrc1Config, { prices }: CoordinatorConfig): PayoutRoute {
  const { keyFile, apiBase, ledgerCanisterId, indexCanisterId } = settings;
  const seed = readWalletKey(keyFile);
  const bringsItsKey = isLoopback(new URL(apiBase).hostname);
  return createIcrc1Payout(
    { seed, apiBase, ledgerCanisterId, indexCanisterId, bringsItsKey },
    {
      symbol: settings.tokenSymbol,
      decimals: settings.tokenDecimals,
      feeUnits: BigInt(settings.transferFee),
    },
    prices,
  );
}

/** What pays providers by itself, by what is configured. Throws KEY_FILE_INVALID and KEY_FILE_UNSAFE. */
function payoutParts(context: Context): PayoutParts {
  const { payments, payouts } = context.config;
  const routes: PayoutRoute[] = [];
  if (payouts.stripeConnect && payments.stripe !== undefined) {
    const [secretKey] = readSecretFile(payments.stripe.secretKeyFile, 'the secret key of Stripe');
    routes.push(createStripeConnect({ secretKey, apiBase: payments.stripe.apiBase }));
  }
  if (payouts.icrc1 !== undefined) routes.push(createIcrc1(payouts.icrc1, context.config));
  return { context, routes: new Map(routes.map((route) => [route.method, route])) };
}

/** The jobs that pay providers. */
export function addPayoutJobs(jobs: JobRunner, context: Context): void {
  const parts = payoutParts(context);
  // For ever: what may have been sent is never given up. GET /admin/payouts says what one waits for.
  jobs.handle(PAYOUT_TOPIC, ({ key, signal }) => sendPayout(parts, key, signal), { attemptsMax: Infinity });
  if (context.config.payouts.automatic)
    jobs.every('payouts', REQUEST_PAYOUTS_EVERY_MS, (signal) => requestPayouts(parts, signal));
}

/** The routes of payments: webhooks, the wallet, and what an admin has to see. */
export function paymentRoutes(context: Context, payments: Payments): Route[] {
  return [
    ...webhookRoutes(context, payments),
    ...walletRoutes(context, payments),
    ...paymentAdminRoutes(context),
    ...refundGateRoutes(context),
    ...reportRoutes(context),
    ...invoiceRoutes(context),
    ...spendingRoutes(context),
    ...payoutRoutes(payoutParts(context)),
    ...payoutDestinationRoutes(payoutParts(context)),
  ];
}

/** Who is told of charges for use beside us; null for nobody. Throws KEY_FILE_INVALID and KEY_FILE_UNSAFE. */
function createUsageReporter({ payments: { stripe } }: CoordinatorConfig): UsageReporter | null {
  if (stripe?.usageMeter === undefined) return null;
  const [secretKey] = readSecretFile(stripe.secretKeyFile, 'the secret key of Stripe');
  return createStripeMeter({ secretKey, apiBase: stripe.apiBase }, stripe.usageMeter);
}

/** The jobs that charge for use, and tell of it. */
export function addUsageJobs(jobs: JobRunner, context: Context): void {
  const reporter = createUsageReporter(context.config);
  jobs.every('usage', CHARGE_EVERY_MS, (signal) =>
    chargeUsage(context, signal, async (trx, charge) => {
      if (reporter !== null) await askForReport(context, trx, charge);
    }),
  );
  // Where the meter was taken out of the configuration, what waits for it waits.
  if (reporter !== null)
    jobs.handle(USAGE_REPORT_TOPIC, ({ key, signal }) => reportUsage(context, reporter, key, signal));
}

/** The jobs of payments. */
export function addPaymentJobs(jobs: JobRunner, context: Context, payments: Payments): void {
  // For ever: money that is owed is never given up. Those that fail again and again are on the admin's page.
  jobs.handle(REFUND_TOPIC, ({ key, signal }) => sendRefund(context, payments, key, signal), {
    attemptsMax: Infinity,
  });
  jobs.handle(OPEN_TOPIC, ({ key, signal }) => openPayment(context, payments, key, signal));
  jobs.handle(LOOK_TOPIC, ({ key, signal }) => lookAtPayment(context, payments, key, signal));
  jobs.handle(CAPTURE_TOPIC, ({ key, signal }) => capturePayment(context, payments, key, signal));
  jobs.handle(CLOSE_TOPIC, ({ key, signal }) => closePayment(context, payments, key, signal));
  const pairs = tokenPairs(context.config, payments);
  const sources = context.config.prices.sources.map(({ name, apiBase }) =>
    createHttpRateSource(name, { ...EXCHANGES[name], apiBase }, context.clock),
  );
  if (pairs.length > 0)
    jobs.every('rates', ASK_SOURCES_EVERY_MS, (signal) => askSources(context, { sources, pairs }, signal));
  if ([...payments.values()].some(({ online }) => online !== undefined))
    jobs.every('payments.sweep', SWEEP_EVERY_MS, (signal) => sweepPayments(context, payments, signal));
}
