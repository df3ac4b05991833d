/**
 * A whole coordinator for one test: real routes, real database in a temporary folder, virtual time. Every answer is
 * checked against the schema and the errors that its route declares. It cleans up by itself.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import type { CoordinatorConfig } from '../config/config.ts';
import { systemRandom } from '../lib/system-random.ts';
import type { PaymentProvider } from '../payments/payment-provider.ts';
import { createCoordinator, type Coordinator } from '../wiring.ts';
import { createTestClient, type TestClient } from './test-client.ts';
import { testConfig } from './test-config.ts';

/** A line of the log. */
export type LogLine = Record<string, unknown> & { level: number; msg: string };

export interface TestCoordinator extends Coordinator {
  clock: ManualClock;
  client: TestClient;
  /** The folder of its database and key: another one on the same folder is the same coordinator after a restart. */
  folder: string;
  /** What it has logged from `info` on. */
  logged: LogLine[];
}

export interface TestCoordinatorOptions {
  config?: Partial<CoordinatorConfig>;
  /** The folder of an earlier one. */
  folder?: string;
  clock?: ManualClock;
  /** Ways of paying beside `test`. */
  payments?: readonly PaymentProvider[];
  /** False leaves the jobs and signals still. */
  startsWork?: boolean;
}

/** Makes one. Call it inside a test: it is stopped, and its folder removed, when the test has finished. */
export async function startTestCoordinator(options: TestCoordinatorOptions = {}): Promise<TestCoordinator> {
  const folder = options.folder ?? temporaryFolder();
  const clock = options.clock ?? new ManualClock();
  const config = testConfig(folder, options.config);
  const logged: LogLine[] = [];
  const log = pino(
    { level: 'info' },
    { write: (line: string) => void logged.push(JSON.parse(line) as LogLine) },
  );
  const parts = {
    clock,
    random: systemRandom,
    log,
    version: '0.0.0-test',
    payments: options.payments ?? [],
    checksAnswers: true,
  };
  const coordinator = await createCoordinator(config, parts);
  onTestFinished(async () => {
    await coordinator.stop(1000);
  });
  await coordinator.app.ready();
  if (options.startsWork !== false) await coordinator.startWork();
  const client = createTestClient(coordinator.app, {
    publicUrl: config.publicUrl,
    clock,
    random: systemRandom,
  });
  return { ...coordinator, clock, client, folder, logged };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dc-coordinator-test-'));
  // Registered before the coordinator's own end, so that it runs after it.
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Waits, in real time, for what happens without a timer of the virtual clock: commits, sockets, jobs. */
export async function until(isDone: () => boolean | Promise<boolean>, what = 'it'): Promise<void> {
  const givesUpAt = Date.now() + 5000;
  while (!(await isDone())) {
    if (Date.now() > givesUpAt) throw new Error(`${what} did not happen within 5 s`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
