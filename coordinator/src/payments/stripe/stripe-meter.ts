/**
 * Stripe's Billing Meters: what was charged for use is told as meter events, whose identifier is the charge's. It is
 * for Stripe's reports; the money itself comes from the wallet, so that no price may be attached to the meter.
 */
import Stripe from 'stripe';
import { AppError } from '@dc/shared/errors';
import { untilAborted } from '@dc/shared/until-aborted';
import type { UsageReporter } from '../../usage/usage-reporter.ts';
import { asProviderError } from './stripe-errors.ts';
import { createStripeClient, type StripeSettings } from './stripe-payment.ts';

/** The keys of a meter event's payload, and those of the meter that we make. */
const CUSTOMER_KEY = 'stripe_customer_id';
const VALUE_KEY = 'value';
const ACCOUNT_FIELD = 'dc_account';

/** Tells the meter with this event name. */
export function createStripeMeter(
  settings: Pick<StripeSettings, 'secretKey' | 'apiBase'>,
  eventName: string,
): UsageReporter {
  const stripe = createStripeClient(settings);
  return {
    async createCustomer({ pubkey, email }, signal) {
      const params = { metadata: { [ACCOUNT_FIELD]: pubkey }, ...(email === null ? {} : { email }) };
      const options = { idempotencyKey: `dc:customer:${pubkey}` };
      const { id } = await ask(signal, 'customer', () => stripe.customers.create(params, options));
      return id;
    },
    async report({ id, customer, value, at }, signal) {
      const params = {
        event_name: eventName,
        identifier: id,
        timestamp: at / 1000,
        payload: { [CUSTOMER_KEY]: customer, [VALUE_KEY]: String(value) },
      };
      try {
        // Without an idempotency key, which would also repeat a refusal: the identifier does it.
        await untilAborted(stripe.billing.meterEvents.create(params), signal);
      } catch (error) {
        if (!isKnownIdentifier(error)) throw asProviderError(error, 'usage');
      }
    },
    async isKnown({ customer, at }, signal) {
      const meter = await findMeter(stripe, eventName, signal);
      if (meter === null) throw new AppError('PAYMENT_REFUSED', `Stripe has no meter ${eventName}.`);
      const { data } = await ask(signal, 'usage summary', () =>
        stripe.billing.meters.listEventSummaries(meter.id, {
          customer,
          start_time: at / 1000,
          end_time: at / 1000 + 60,
        }),
      );
      return data.some(({ aggregated_value: value }) => value > 0);
    },
  };
}

/** Stripe has no code for it: the event is there already, which is what we want. */
function isKnownIdentifier(error: unknown): boolean {
  return (
    error instanceof Stripe.errors.StripeInvalidRequestError &&
    /already exists with identifier/i.test(error.message)
  );
}

async function findMeter(
  stripe: Stripe,
  eventName: string,
  signal: AbortSignal,
): Promise<Stripe.Billing.Meter | null> {
  const { data } = await ask(signal, 'meters', () =>
    stripe.billing.meters.list({ status: 'active', limit: 100 }),
  );
  return data.find(({ event_name: name }) => name === eventName) ?? null;
}

/** Makes the meter unless it is there, and says what it did. Throws CONFIG_INVALID for one that does not fit. */
export async function setUpMeter(stripe: Stripe, eventName: string): Promise<string> {
  const { signal } = new AbortController();
  const found = await findMeter(stripe, eventName, signal);
  if (found !== null) {
    assertFits(found);
    return `The meter ${eventName} is as it should be.`;
  }
  await ask(signal, 'meter', () =>
    stripe.billing.meters.create({
      event_name: eventName,
      display_name: 'Use beyond the rent, in thousandths of a billing unit',
      default_aggregation: { formula: 'sum' },
      customer_mapping: { type: 'by_id', event_payload_key: CUSTOMER_KEY },
      value_settings: { event_payload_key: VALUE_KEY },
    }),
  );
  return `Made the meter ${eventName} for use beyond the rent.`;
}

/** Says that the meter is there and fits. Throws CONFIG_INVALID where it is not or does not. */
export async function checkMeter(stripe: Stripe, eventName: string): Promise<string> {
  const meter = await findMeter(stripe, eventName, new AbortController().signal);
  if (meter === null) throw new AppError('CONFIG_INVALID', `There is no active meter ${eventName}.`);
  assertFits(meter);
  return `${eventName} sums up what is used beyond the rent.`;
}

function assertFits({
  event_name,
  default_aggregation,
  customer_mapping,
  value_settings,
}: Stripe.Billing.Meter) {
  const isOurs =
    default_aggregation.formula === 'sum' &&
    customer_mapping.event_payload_key === CUSTOMER_KEY &&
    value_settings.event_payload_key === VALUE_KEY;
  if (!isOurs)
    throw new AppError(
      'CONFIG_INVALID',
      `The meter ${event_name} does not sum up "${VALUE_KEY}" by customer.`,
      {
        remedy: 'Write the name of another meter, or of none that there is, as payments.stripe.usage_meter.',
      },
    );
}

async function ask<T>(signal: AbortSignal, what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await untilAborted(run(), signal);
  } catch (error) {
    throw asProviderError(error, what);
  }
}
