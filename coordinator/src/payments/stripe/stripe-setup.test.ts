import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { StripeConfig } from '../../config/config.ts';
import { STRIPE_EVENTS } from './stripe-events.ts';
import { checkStripe, setUpStripe } from './stripe-setup.ts';
import { STAND_IN_KEY, StripeStandIn } from './testing/stripe-stand-in.ts';

const URL = 'https://rent.example.net';
let standIn: StripeStandIn;
let settings: StripeConfig;
beforeEach(async () => {
  standIn = new StripeStandIn(new ManualClock());
  await standIn.listen();
  const folder = mkdtempSync(join(tmpdir(), 'dc-stripe-setup-test-'));
  onTestFinished(async () => {
    await standIn.close();
    rmSync(folder, { recursive: true });
  });
  const secretKeyFile = join(folder, 'stripe.key');
  writeFileSync(secretKeyFile, STAND_IN_KEY, { mode: 0o600 });
  settings = {
    ...{ secretKeyFile, webhookSecretFile: join(folder, 'webhook.secret'), apiBase: standIn.url },
    ...{ capture: 'at_delivery', automaticTax: false, invoices: false },
  };
});

const failed = async (): Promise<string[]> =>
  (await checkStripe(settings, URL)).filter(({ isGood }) => !isGood).map(({ name }) => name);

describe('setting Stripe up', () => {
  it('makes the endpoint with every event that is handled, and keeps its secret from others', async () => {
    expect(await failed()).toEqual(['Stripe: webhook endpoint', 'Stripe: webhook secret']);
    const said = await setUpStripe(settings, URL);
    const [endpoint] = [...standIn.books.endpoints.values()];
    expect(endpoint).toMatchObject({ url: `${URL}/api/v1/webhooks/stripe`, enabled_events: STRIPE_EVENTS });
    expect(readFileSync(settings.webhookSecretFile, 'utf8')).toBe(`${endpoint?.secret ?? ''}\n`);
    expect(statSync(settings.webhookSecretFile).mode & 0o777).toBe(0o600);
    expect(said.join('\n')).not.toContain(endpoint?.secret ?? '?');
    expect(await failed()).toEqual([]);
    expect(standIn.findings).toEqual([]);
  });

  it('again does nothing, and adds events that are missing', async () => {
    await setUpStripe(settings, URL);
    expect(await setUpStripe(settings, URL)).toEqual([expect.stringContaining('as it should be')]);
    const [endpoint] = [...standIn.books.endpoints.values()];
    standIn.books.updateEndpoint(endpoint?.id ?? '', { enabled_events: ['checkout.session.completed'] });
    expect(await failed()).toEqual(['Stripe: webhook endpoint']);
    await setUpStripe(settings, URL);
    expect(endpoint?.enabled_events).toEqual(STRIPE_EVENTS);
    expect(standIn.books.endpoints.size).toBe(1);
  });

  it('whose secret was lost makes another endpoint and disables the one before', async () => {
    await setUpStripe(settings, URL);
    rmSync(settings.webhookSecretFile);
    await setUpStripe(settings, URL);
    const [before, after] = [...standIn.books.endpoints.values()];
    expect([before?.['disabled'], after?.['disabled']]).toEqual(['true', undefined]);
  });

  it('says what is wrong with the key, and nothing of it', async () => {
    writeFileSync(settings.secretKeyFile, 'sk_test_wrong');
    await expect(setUpStripe(settings, URL)).rejects.toMatchObject({ code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
    const checks = await checkStripe(settings, URL);
    expect(JSON.stringify(checks)).not.toContain('sk_test_wrong');
    expect(await failed()).toContain('Stripe: secret key');
  });

  it('refuses an address that Stripe cannot reach', async () => {
    const real = { ...settings, apiBase: 'https://api.stripe.com' };
    await expect(setUpStripe(real, 'http://127.0.0.1:8787')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });
});

describe('setting up the meter for use', () => {
  const METER = 'use_beyond_the_rent';
  const withMeter = () => ({ ...settings, usageMeter: METER });
  const meterCheck = async () =>
    (await checkStripe(withMeter(), URL)).find(({ name }) => name === 'Stripe: usage meter');

  it('makes it once, and checks later that it is there', async () => {
    expect(await meterCheck()).toMatchObject({
      isGood: false,
      remedy: 'Run: dc-coordinator admin stripe setup',
    });
    expect(await setUpStripe(withMeter(), URL)).toContain(`Made the meter ${METER} for use beyond the rent.`);
    expect(await setUpStripe(withMeter(), URL)).toContain(`The meter ${METER} is as it should be.`);
    expect([...standIn.meters.meters.values()]).toMatchObject([
      { event_name: METER, default_aggregation: { formula: 'sum' } },
    ]);
    expect(await meterCheck()).toMatchObject({ isGood: true });
    for (const meter of standIn.meters.meters.values()) meter.status = 'inactive';
    expect(await meterCheck()).toMatchObject({ isGood: false });
  });

  it('refuses one that counts something else', async () => {
    standIn.meters.createMeter({
      ...{ event_name: METER, display_name: 'x', default_aggregation: { formula: 'count' } },
      customer_mapping: { type: 'by_id', event_payload_key: 'stripe_customer_id' },
      value_settings: { event_payload_key: 'value' },
    });
    await expect(setUpStripe(withMeter(), URL)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await meterCheck()).toMatchObject({ isGood: false });
  });

  it('is not made where nobody wants one', async () => {
    await setUpStripe(settings, URL);
    expect(standIn.meters.meters.size).toBe(0);
    expect((await checkStripe(settings, URL)).map(({ name }) => name)).not.toContain('Stripe: usage meter');
  });
});
