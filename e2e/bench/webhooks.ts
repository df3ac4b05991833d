/**
 * A part of the benchmark `money`: how many webhook deliveries a second one coordinator accepts, with SQLite. Each is
 * verified, kept under its id and booked (a top-up that arrives) before it is answered; half come once more.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { startSystem } from '../start-system.ts';
import { freePort, nextMessage, type BenchRun } from './bench.ts';
import { figure, percentile, type Figure } from './figure.ts';
import { readUsage } from './process-usage.ts';
import { NO_RATE_LIMITS } from './without-limits.ts';
import type { WebhookPlan, WebhooksDone } from './webhook-load.ts';

const DELIVERIES = 10_000;
const CONNECTIONS = 64;
const SECRET = 'whsec_benchmark';
const AMOUNT_E9S = 20_000_000_000n;
const MINOR = 2000;

/** The figures: a part of the benchmark `money`. */
export async function measureWebhooks(run: BenchRun): Promise<Figure[]> {
  const dataDir = run.folder();
  const port = await freePort();
  const system = await startSystem({
    port,
    dataDir,
    coordinatorToml: `${NO_RATE_LIMITS}\n${stripeToml(dataDir)}`,
  });
  run.onEnd(() => system.stop());
  await system.agent.stop();
  const file = path.join(dataDir, 'coordinator.sqlite');
  const keys = seedTopUps(file);
  run.progress(`delivering ${String(DELIVERIES)} webhooks`);
  const before = readUsage(system.coordinator.pid ?? 0);
  const first = await deliver(run, { url: system.url, bodies: keys.map(paidEvent) });
  const usedS = readUsage(system.coordinator.pid ?? 0).cpuSeconds - before.cpuSeconds;
  const again = await deliver(run, { url: system.url, bodies: keys.slice(0, DELIVERIES / 2).map(paidEvent) });
  assertBooked(file);
  const rate = (done: WebhooksDone): number => (1000 * done.tookMs.length) / done.elapsedMs;
  return [
    figure('webhook deliveries, each booked', '1/s', rate(first), { target: { atLeast: 2000 } }),
    figure('… one delivery, p99', 'ms', percentile(first.tookMs, 0.99)),
    // What the rate is where nobody else wants the processor.
    figure('… for a second of the coordinator’s processor', '1/s', DELIVERIES / usedS),
    figure('webhooks delivered again, nothing booked', '1/s', rate(again)),
  ];
}

function stripeToml(dataDir: string): string {
  const [key, secret] = [path.join(dataDir, 'stripe.key'), path.join(dataDir, 'stripe-webhook.secret')];
  writeFileSync(key, 'sk_test_benchmark\n', { mode: 0o600 });
  writeFileSync(secret, `${SECRET}\n`, { mode: 0o600 });
  // Nothing is asked there: what is paid was asked for before.
  return `[payments.stripe]\nsecret_key_file = "${key}"\nwebhook_secret_file = "${secret}"\napi_base = "http://127.0.0.1:9"\n`;
}

/** Top-ups that wait for their payment, as if their checkouts had been opened. */
function seedTopUps(file: string): string[] {
  const db = new Database(file);
  db.pragma('busy_timeout = 10000');
  const insert = db.prepare(
    `insert into payments (key, method, account_pubkey, amount_e9s, currency, state, is_for_delivery, description,
       refund_to, external_id, created_at, expires_at)
     values (?, 'stripe', ?, ?, 'USD', 'open', 0, 'Wallet top-up', 'source', ?, ?, ?)`,
  );
  const now = Date.now();
  const keys = Array.from({ length: DELIVERIES }, (_, index) => `top-up:${uuidOf(index)}`);
  db.transaction(() => {
    for (const [index, key] of keys.entries())
      insert.run(key, renterOf(index), AMOUNT_E9S, `cs_${key}`, now, now + 3_600_000);
  })();
  db.close();
  return keys;
}

const uuidOf = (index: number): string => `01993b5e-0000-7000-8000-${index.toString(16).padStart(12, '0')}`;
const renterOf = (index: number): string => (index % 1000).toString(16).padStart(64, 'a');

function paidEvent(key: string): string {
  const session = {
    ...{
      id: `cs_${key}`,
      object: 'checkout.session',
      status: 'complete',
      payment_status: 'paid',
      currency: 'usd',
    },
    ...{
      amount_total: MINOR,
      amount_subtotal: MINOR,
      payment_intent: `pi_${key}`,
      livemode: false,
      mode: 'payment',
    },
    ...{ client_reference_id: key, metadata: { dc_payment: key }, total_details: { amount_tax: 0 } },
  };
  return JSON.stringify({
    ...{ id: `evt_${key}`, object: 'event', type: 'checkout.session.completed', livemode: false },
    data: { object: session },
  });
}

async function deliver(run: BenchRun, plan: Pick<WebhookPlan, 'url' | 'bodies'>): Promise<WebhooksDone> {
  const load = run.start(path.join(import.meta.dirname, 'webhook-load.ts'));
  load.send({ ...plan, secret: SECRET, connections: CONNECTIONS } satisfies WebhookPlan);
  const done = await nextMessage<WebhooksDone>(load);
  load.kill();
  if (done.failure !== null) throw new Error(`a webhook was answered with ${done.failure}`);
  return done;
}

/** Every delivery counted once: a rate of what was lost is none. */
function assertBooked(file: string): void {
  const db = new Database(file, { readonly: true });
  const row = db
    .prepare(
      `select count(*) as sets, sum(p.amount_e9s) / ? as top_ups from ledger_sets s join ledger_postings p
         on p.set_id = s.id and p.account like 'renter_wallet:%' where s.kind = 'wallet_topped_up'`,
    )
    .get(AMOUNT_E9S) as { sets: number; top_ups: number };
  db.close();
  if (row.sets !== DELIVERIES || row.top_ups !== DELIVERIES)
    throw new Error(`${String(row.sets)} of ${String(DELIVERIES)} top-ups were booked`);
}
