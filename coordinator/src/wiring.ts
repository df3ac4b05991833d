/**
 * Puts a coordinator together: the only place that constructs things. `main.ts` runs one on the real clock; tests and
 * the simulation run one on their own.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import { accountRoutes } from './accounts/account-routes.ts';
import { sessionRoutes } from './accounts/session-routes.ts';
import { agentRoutes } from './agents/agent-routes.ts';
import { ARCHIVE_EVERY_MS, archiveContracts } from './archive/archive-contracts.ts';
import { archiveRoutes } from './archive/archive-routes.ts';
import type { CoordinatorConfig } from './config/config.ts';
import type { Context } from './context.ts';
import { contractRoutes } from './contracts/contract-routes.ts';
import { DEADLINE_TOPIC } from './contracts/contract-deadlines.ts';
import { enforceDeadline } from './contracts/enforce-deadline.ts';
import { VERIFY_TOPIC, verifyDelivery } from './contracts/verify-delivery.ts';
import { credentialRoutes } from './credentials/credential-routes.ts';
import type { Database } from './database/database.ts';
import { appliedMigrations, migrate } from './database/migrate.ts';
import { MIGRATIONS } from './database/migrations/index.ts';
import { openDatabase } from './database/open-database.ts';
import { evidenceRoutes } from './evidence/evidence-routes.ts';
import { CoordinatorMetrics } from './health/coordinator-metrics.ts';
import { healthRoutes } from './health/health-routes.ts';
import { buildServer } from './http/build-server.ts';
import { connectionLimits } from './http/connections.ts';
import { EventStreams } from './http/event-streams.ts';
import { infoRoute } from './http/info-route.ts';
import type { Route } from './http/route.ts';
import { rerouteWaiting } from './agents/route-work.ts';
import { pruneExpired } from './jobs/housekeeping.ts';
import { JobRunner } from './jobs/job-runner.ts';
import { createOutbox } from './jobs/outbox.ts';
import { Signals } from './jobs/signals.ts';
import { CoordinatorKeys } from './keys/coordinator-keys.ts';
import { offeringRoutes } from './offerings/offering-routes.ts';
import { providerRoutes } from './offerings/provider-routes.ts';
import { trustRoutes } from './trust/trust-routes.ts';
import { openFilesMax } from './lib/open-files.ts';
import { createLedgerStore } from './payments/ledger-store.ts';
import type { PaymentProvider } from './payments/payment-provider.ts';
import { rateRoutes } from './prices/rate-routes.ts';
import { RELEASE_RUN_EVERY_MS, releaseEarnings } from './payments/release-job.ts';
import { guardLedger, jobGuard } from './safe-mode/guard.ts';
import { advanceMark, checkMark, MARK_EVERY_MS } from './safe-mode/mark.ts';
import { safeModeRoutes } from './safe-mode/safe-mode-routes.ts';
import {
  addPaymentJobs,
  addPayoutJobs,
  addUsageJobs,
  createPayments,
  paymentRoutes,
  tokenPairs,
} from './payments-wiring.ts';
import { statementRoutes } from './payments/statement-routes.ts';
import { RunningCoordinator } from './running-coordinator.ts';
import { usageRoutes } from './usage/usage-routes.ts';
import { sliceWebData } from './web/slice-web-data.ts';
import { buildWeb } from './web/web-routes.ts';

/** What a coordinator is given from outside. */
export interface CoordinatorParts {
  clock: Clock;
  random: Random;
  log: Logger;
  version: string;
  /** Ways of paying beside those that the configuration names. */
  payments?: readonly PaymentProvider[];
  /** For tests: what a route answers without having declared it is an INTERNAL_BUG. */
  checksAnswers?: boolean;
}

/** A coordinator. */
export interface Coordinator {
  context: Context;
  /** For tests: `app.inject()` asks it without a socket. */
  app: FastifyInstance;
  routes: readonly Route[];
  metrics: CoordinatorMetrics;
  /** Begins the jobs and the signals. */
  startWork(): Promise<void>;
  /** Begins to listen, and resolves with where. Throws PORT_IN_USE. */
  listen(): Promise<{ url: string; metricsUrl: string | null }>;
  /**
   * Takes no more requests, ends the streams, lets requests and jobs finish for up to `graceMs`, and closes the
   * database. Idempotent.
   */
  stop(graceMs: number): Promise<void>;
}

const HOUSEKEEPING_EVERY_MS = 60_000;
// An order whose agent is gone finds another one within this.
const ROUTE_EVERY_MS = 10_000;
// A look waits for a socket, seconds where a firewall swallows it: one dark provider must not hold up the others.
const LOOKS_AT_ONCE = 64;

/** Opens the database, brings it up to date and puts everything together. Nothing runs yet. */
export async function createCoordinator(
  config: CoordinatorConfig,
  parts: CoordinatorParts,
): Promise<Coordinator> {
  const { clock, random, log } = parts;
  makeFolder(dirname(config.keyFile));
  const keys = new CoordinatorKeys(config.keyFile, { clock, random });
  const { db } = await openMigrated(config, { clock, random, log });
  const metrics = new CoordinatorMetrics();
  const limits = connectionLimits(openFilesMax());
  const assertMayRun = jobGuard(db);
  const jobs = new JobRunner({ database: db, clock, random, log, onEvent: metrics.onJob, assertMayRun });
  const context: Context = {
    config,
    db,
    clock,
    startedAt: clock.now(),
    random,
    keys,
    get key() {
      return keys.current;
    },
    log,
    signals: new Signals({ db, clock, log }),
    outbox: createOutbox({ clock, onCommitted: () => jobs.wake() }),
    ledger: guardLedger(createLedgerStore({ clock, random })),
    streams: new EventStreams(clock, limits.streams),
  };
  const payments = createPayments(config, clock, parts.payments ?? []);
  addJobs(jobs, context, payments);
  await checkMark(context);
  const web = buildWeb(context, sliceWebData(context, payments));
  const routes = [...apiRoutes(context, payments), ...web.routes];
  const app = buildServer(context, routes, {
    connectionsMax: limits.connections,
    onAnswer: metrics.onAnswer,
    sendErrorPage: (input, error) => web.sendError(input, error),
    checksAnswers: parts.checksAnswers === true,
  });
  const running = new RunningCoordinator({ context, app, jobs, metrics, version: parts.version });
  return {
    context,
    app,
    routes,
    metrics,
    startWork: () => running.startWork(),
    listen: () => running.listen(),
    stop: (graceMs) => running.stop(graceMs),
  };
}

type DatabaseParts = Pick<CoordinatorParts, 'clock' | 'random' | 'log'>;

/** Opens the database and applies the migrations that it lacks; says which. Throws DATABASE_NEWER. */
export async function openMigrated(
  config: CoordinatorConfig,
  parts: DatabaseParts,
): Promise<{ db: Database; applied: string[] }> {
  makeFolder(dirname(config.databaseFile));
  const db = openDatabase({ file: config.databaseFile, ...parts });
  try {
    return { db, applied: await migrate(db, parts.clock, MIGRATIONS) };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** Opens a database that is there and up to date. Throws DATABASE_UNUSABLE, DATABASE_OLDER and DATABASE_NEWER. */
export async function openCurrent(config: CoordinatorConfig, parts: DatabaseParts): Promise<Database> {
  if (!existsSync(config.databaseFile))
    throw new AppError('DATABASE_UNUSABLE', `There is no database ${config.databaseFile} yet.`, {
      remedy: 'Start the coordinator once, or run dc-coordinator migrate.',
    });
  const db = openDatabase({ file: config.databaseFile, ...parts });
  try {
    const applied = await appliedMigrations(db.read);
    const known = MIGRATIONS.map(({ name }) => name);
    if (applied.some((name) => !known.includes(name))) throw new AppError('DATABASE_NEWER');
    if (applied.length < known.length) throw new AppError('DATABASE_OLDER');
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** The API, without the pages. */
function apiRoutes(context: Context, payments: ReadonlyMap<string, PaymentProvider>): Route[] {
  return [
    ...healthRoutes(context),
    infoRoute(context, [...payments.keys()]),
    ...accountRoutes(context),
    ...sessionRoutes(context),
    ...providerRoutes(context),
    ...trustRoutes(context),
    ...offeringRoutes(context),
    ...contractRoutes(context, payments),
    ...paymentRoutes(context, payments),
    ...usageRoutes(context),
    ...rateRoutes(context, tokenPairs(context.config, payments)),
    ...credentialRoutes(context),
    ...agentRoutes(context),
    ...evidenceRoutes(context),
    ...statementRoutes(context),
    ...archiveRoutes(context),
    ...safeModeRoutes(context),
  ];
}

function addJobs(jobs: JobRunner, context: Context, payments: ReadonlyMap<string, PaymentProvider>): void {
  jobs.handle(VERIFY_TOPIC, ({ key }) => verifyDelivery(context, key), { concurrency: LOOKS_AT_ONCE });
  jobs.handle(DEADLINE_TOPIC, ({ payload }) => enforceDeadline(context, payload.contractId));
  addPaymentJobs(jobs, context, payments);
  jobs.every('orders.route', ROUTE_EVERY_MS, () => rerouteWaiting(context));
  jobs.every('releases', RELEASE_RUN_EVERY_MS, async (signal) => {
    await releaseEarnings(context, signal);
  });
  addUsageJobs(jobs, context);
  addPayoutJobs(jobs, context);
  jobs.every('housekeeping', HOUSEKEEPING_EVERY_MS, (signal) => pruneExpired(context, signal));
  jobs.every('archive', ARCHIVE_EVERY_MS, async (signal) => {
    await archiveContracts(context, signal);
  });
  jobs.every('mark', MARK_EVERY_MS, () => advanceMark(context));
}

/** Only its owner can look into it. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError('DATABASE_UNUSABLE', `The folder ${folder} cannot be made (${code}).`, {
      cause: error,
    });
  }
}
