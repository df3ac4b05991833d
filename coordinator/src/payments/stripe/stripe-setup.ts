/**
 * Stripe's webhook endpoint: makes one that gets every event that we handle, in the version that we read, and checks
 * later that it still does.
 */
import { existsSync } from 'node:fs';
import type Stripe from 'stripe';
import { AppError } from '@dc/shared/errors';
import type { StripeConfig } from '../../config/config.ts';
import { isLoopback } from '../../config/loopback.ts';
import { addSecret, readSecretFile } from '../../config/secret-file.ts';
import { asProviderError } from './stripe-errors.ts';
import { STRIPE_EVENTS } from './stripe-events.ts';
import { checkMeter, setUpMeter } from './stripe-meter.ts';
import { createStripeClient, STRIPE_API_VERSION } from './stripe-payment.ts';

/** What was checked: whether it is as it should be, and what to do where it is not. */
export interface Check {
  name: string;
  isGood: boolean;
  detail: string;
  remedy: string | null;
}

interface Endpoint {
  url: string;
  stripe: Stripe;
  settings: StripeConfig;
}

const KEY_NAME = 'the secret key of Stripe';
const SECRET_NAME = 'the secret of Stripe’s webhook';
const REMEDY = 'Run: dc-coordinator admin stripe setup';

function open(settings: StripeConfig, publicUrl: string): Endpoint {
  const [secretKey] = readSecretFile(settings.secretKeyFile, KEY_NAME);
  const stripe = createStripeClient({ secretKey, apiBase: settings.apiBase });
  return { url: `${publicUrl}/api/v1/webhooks/stripe`, stripe, settings };
}

/**
 * Makes the endpoint, or brings it up to date, and keeps its secret; makes the meter that is told of use, where there
 * is to be one. Says what it did. Again is a success. Throws
 * KEY_FILE_INVALID, KEY_FILE_UNSAFE, CONFIG_INVALID, PAYMENT_REFUSED and PAYMENT_PROVIDER_UNAVAILABLE.
 */
export async function setUpStripe(settings: StripeConfig, publicUrl: string): Promise<string[]> {
  const done = await setUpEndpoint(settings, publicUrl);
  const { usageMeter } = settings;
  if (usageMeter !== undefined) done.push(await setUpMeter(open(settings, publicUrl).stripe, usageMeter));
  return done;
}

async function setUpEndpoint(settings: StripeConfig, publicUrl: string): Promise<string[]> {
  if (isLoopback(new URL(publicUrl).hostname) && !isLoopback(new URL(settings.apiBase).hostname))
    throw new AppError('CONFIG_INVALID', `Stripe cannot reach ${publicUrl}.`, {
      remedy: 'Set public_url to the address under which Stripe can reach this coordinator.',
    });
  const endpoint = open(settings, publicUrl);
  const found = await ours(endpoint);
  const current = found.find(
    ({ status, api_version: version }) => status === 'enabled' && version === STRIPE_API_VERSION,
  );
  const hasSecret = existsSync(settings.webhookSecretFile);
  const done: string[] = [];
  if (current !== undefined && hasSecret) {
    readSecretFile(settings.webhookSecretFile, SECRET_NAME);
    if (missingEvents(current).length === 0)
      return [`The webhook endpoint ${endpoint.url} is as it should be.`];
    await ask('update', () =>
      endpoint.stripe.webhookEndpoints.update(current.id, { enabled_events: [...STRIPE_EVENTS] }),
    );
    return [
      `The webhook endpoint ${endpoint.url} gets all ${String(STRIPE_EVENTS.length)} kinds of events now.`,
    ];
  }
  const made = await ask('create', () =>
    endpoint.stripe.webhookEndpoints.create({
      url: endpoint.url,
      enabled_events: [...STRIPE_EVENTS],
      api_version: STRIPE_API_VERSION,
      description: 'dc-coordinator',
    }),
  );
  const old = hasSecret ? readSecretFile(settings.webhookSecretFile, SECRET_NAME) : [];
  addSecret(settings.webhookSecretFile, made.secret ?? '', old);
  done.push(
    `Made the webhook endpoint ${endpoint.url} for ${String(STRIPE_EVENTS.length)} kinds of events.`,
    `Its secret is in ${settings.webhookSecretFile}; restart the coordinator, so that it is read.`,
  );
  // Only now: what is on its way to the old one is still delivered, and its secret still counts.
  for (const { id } of found) {
    await ask('disable', () => endpoint.stripe.webhookEndpoints.update(id, { disabled: true }));
    done.push(`Disabled the endpoint ${id}, which this one replaces.`);
  }
  return done;
}

/** Checks the key, the endpoint and its secret. Never throws. */
export async function checkStripe(settings: StripeConfig, publicUrl: string): Promise<Check[]> {
  const checks: Check[] = [];
  const check = async (name: string, run: () => Promise<string>, remedy: string): Promise<void> => {
    try {
      checks.push({ name, isGood: true, detail: await run(), remedy: null });
    } catch (error) {
      const known = error instanceof AppError;
      checks.push({
        name,
        isGood: false,
        detail: known ? error.message : String(error),
        remedy: known && error.code.startsWith('KEY_FILE') ? error.remedy : remedy,
      });
    }
  };
  await check(
    'Stripe: secret key',
    async () => {
      const { stripe } = open(settings, publicUrl);
      const { livemode } = await ask('balance', () => stripe.balance.retrieve());
      return livemode ? 'It works, for real money.' : 'It works, in Stripe’s test mode.';
    },
    `Put a key that is valid into ${settings.secretKeyFile}: Stripe dashboard, Developers, API keys.`,
  );
  await check(
    'Stripe: webhook endpoint',
    async () => {
      const endpoint = open(settings, publicUrl);
      const [current] = (await ours(endpoint)).filter(({ status }) => status === 'enabled');
      if (current === undefined) throw problem(`None that is enabled delivers to ${endpoint.url}.`);
      if (current.api_version !== STRIPE_API_VERSION)
        throw problem(
          `It speaks the version ${current.api_version ?? 'of the account'}, not ${STRIPE_API_VERSION}.`,
        );
      const missing = missingEvents(current);
      if (missing.length > 0) throw problem(`It does not get ${missing.join(', ')}.`);
      return `${endpoint.url} gets all ${String(STRIPE_EVENTS.length)} kinds of events.`;
    },
    REMEDY,
  );
  await check(
    'Stripe: webhook secret',
    () => {
      const secrets = readSecretFile(settings.webhookSecretFile, SECRET_NAME);
      if (secrets.some((secret) => !secret.startsWith('whsec_')))
        throw problem('It is no secret of a webhook.');
      return Promise.resolve(`${settings.webhookSecretFile} holds ${String(secrets.length)}.`);
    },
    REMEDY,
  );
  const { usageMeter } = settings;
  if (usageMeter !== undefined)
    await check(
      'Stripe: usage meter',
      () => checkMeter(open(settings, publicUrl).stripe, usageMeter),
      REMEDY,
    );
  return checks;
}

const problem = (detail: string): AppError => new AppError('CONFIG_INVALID', detail);

async function ours({ stripe, url }: Endpoint): Promise<Stripe.WebhookEndpoint[]> {
  const { data } = await ask('list', () => stripe.webhookEndpoints.list({ limit: 100 }));
  return data.filter((endpoint) => endpoint.url === url);
}

function missingEvents({ enabled_events: events }: Stripe.WebhookEndpoint): string[] {
  if (events.includes('*')) return [];
  return STRIPE_EVENTS.filter((event) => !events.includes(event));
}

async function ask<T>(what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw asProviderError(error, what);
  }
}
