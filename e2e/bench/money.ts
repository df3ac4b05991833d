/**
 * What the books cost when there are many: `admin ledger verify` over a million postings, a statement over a hundred
 * thousand releases, a release run over fifty thousand contracts while people rent, and webhooks (webhooks.ts).
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { seedFromHex, SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from '../api-client.ts';
import { startSystem } from '../start-system.ts';
import { makeSshIdentity } from '../ssh-login.ts';
import { freePort, type Bench } from './bench.ts';
import { figure, median, percentile } from './figure.ts';
import { countDue, makeDue, seedMoney } from './money-seed.ts';
import { measureWebhooks } from './webhooks.ts';
import { NO_RATE_LIMITS } from './without-limits.ts';

const CONTRACTS = 100_000;
const ACTIVE = 50_000;
const PROVIDERS = 4;
/** Of one provider: four for each of its contracts. */
const RELEASES = (4 * CONTRACTS) / PROVIDERS;
const STATEMENTS = 30;
const RENTALS_PER_S = 10;
const QUIET_MS = 20_000;
const RUN_MS_MAX = 180_000;

export const money: Bench = {
  name: 'money',
  about: 'ledger verify, statements, a release run while people rent, and webhook deliveries',
  async run(run) {
    const dataDir = run.folder();
    const toml = NO_RATE_LIMITS;
    const system = await startSystem({ port: await freePort(), dataDir, coordinatorToml: toml });
    run.onEnd(() => system.stop());
    await system.agent.stop();
    await system.coordinator.stop();
    const file = path.join(dataDir, 'coordinator.sqlite');
    const others = Array.from(
      { length: PROVIDERS - 1 },
      () => SigningKey.fromSeed(randomBytes(32)).publicKey,
    );
    const providers = [system.providerKey, ...others];
    seedMoney({ file, contracts: CONTRACTS, active: ACTIVE, providers }, (text) => run.progress(text));
    makeDue(file, false);
    run.progress('verifying the ledger');
    const verified = await verify(dataDir);
    system.coordinator.start();
    system.agent.start();
    await system.untilReady();
    run.progress('statements');
    const statementsMs = await askStatements(system.url, dataDir);
    const crowd = await Renters.arrive(system.url);
    run.progress('renting while all is quiet');
    const quietMs = await crowd.rentFor(() => Promise.resolve(false), QUIET_MS);
    run.progress('renting while the release run goes on');
    makeDue(file, true);
    const startedAt = performance.now();
    let endedAt = startedAt;
    const busyMs = await crowd.rentFor(async () => {
      endedAt = performance.now();
      return Promise.resolve(countDue(file) === 0);
    }, RUN_MS_MAX);
    const quietP99 = percentile(quietMs, 0.99);
    await system.stop();
    return [
      figure(`ledger verify: ${verified.said}`, 's', verified.ms / 1000, { target: { atMost: 20 } }),
      figure('statement over 100,000 releases, p50', 'ms', median(statementsMs), { target: { atMost: 200 } }),
      figure('statement over 100,000 releases, max', 'ms', percentile(statementsMs, 1)),
      figure(
        `release run over ${ACTIVE.toLocaleString('en')} active contracts`,
        's',
        (endedAt - startedAt) / 1000,
        {
          target: { atMost: 30 },
        },
      ),
      figure('a rental request, p99, while all is quiet', 'ms', quietP99),
      figure('a rental request, p99, during the release run', 'ms', percentile(busyMs, 0.99), {
        target: { atMost: 3 * quietP99 },
        floor: quietP99,
      }),
      ...(await measureWebhooks(run)),
    ];
  },
};

/** Runs the command as an operator would, and times all of it. */
async function verify(dataDir: string): Promise<{ ms: number; said: string }> {
  const startedAt = performance.now();
  const main = path.join(import.meta.dirname, '..', '..', 'coordinator', 'src', 'main.ts');
  const config = path.join(dataDir, 'coordinator.toml');
  const child = spawn(process.execPath, [main, 'admin', 'ledger', 'verify', '--config', config]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`ledger verify ended with ${String(code)}: ${output}`);
  const said = output.replace('The ledger adds up: ', '').trim().replace(/\.$/, '');
  return { ms: performance.now() - startedAt, said };
}

async function askStatements(url: string, dataDir: string): Promise<number[]> {
  const seed = seedFromHex(readFileSync(path.join(dataDir, 'provider.key'), 'utf8').trim());
  const provider = new ApiClient(url, seed);
  const tookMs: number[] = [];
  for (let count = 0; count < STATEMENTS; count += 1) {
    const startedAt = performance.now();
    const { totals } = await provider.get<{ totals: { release_count: number }[] }>(
      `/api/v1/providers/${provider.key.publicKey}/statement`,
    );
    tookMs.push(performance.now() - startedAt);
    if (totals[0]?.release_count !== RELEASES)
      throw new Error(`there are ${String(totals[0]?.release_count)} releases`);
  }
  return tookMs;
}

/** Somebody who rents and cancels at a steady rate. */
class Renters {
  readonly #client: ApiClient;
  readonly #order: object;

  private constructor(client: ApiClient, order: object) {
    this.#client = client;
    this.#order = order;
  }

  static async arrive(url: string): Promise<Renters> {
    const client = new ApiClient(url);
    await client.post('/api/v1/accounts', { public_key: client.key.publicKey });
    const { items } = await client.get<{ items: WireOffering[] }>('/api/v1/offerings?in_stock=true');
    const [offering] = items;
    if (offering === undefined) throw new Error('there is nothing to rent');
    const identity = await makeSshIdentity();
    identity.remove();
    return new Renters(client, {
      offering_id: offering.id,
      duration_hours: offering.min_hours,
      ssh_public_key: identity.publicKey,
      payment_method: 'test',
    });
  }

  /** Rents until `isDone`, `limitMs` at most; how long each request took, from when it was due. */
  async rentFor(isDone: () => Promise<boolean>, limitMs: number): Promise<number[]> {
    const startedAt = performance.now();
    const requests: Promise<number>[] = [];
    const cancels: Promise<unknown>[] = [];
    for (let index = 0; performance.now() - startedAt < limitMs; index += 1) {
      const dueAt = startedAt + (index * 1000) / RENTALS_PER_S;
      await delay(Math.max(0, dueAt - performance.now()));
      const rented = this.#client.post<WireContract>('/api/v1/contracts', this.#order, {
        'idempotency-key': crypto.randomUUID(),
      });
      requests.push(rented.then(() => performance.now() - dueAt));
      cancels.push(
        rented.then(async ({ id }) => {
          await delay(500);
          await this.#client.post(`/api/v1/contracts/${id}/cancel`, {});
        }),
      );
      if (index % 5 === 4 && (await isDone())) break;
    }
    const took = await Promise.all(requests);
    await Promise.all(cancels);
    return took;
  }
}
