/** What the coordinator measures of itself. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { listWaiting } from '../agents/work-store.ts';
import type { Context } from '../context.ts';
import type { JobEvent } from '../jobs/job.ts';
import { outboxBacklog } from '../jobs/outbox.ts';
import { countStock } from '../offerings/offering-store.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { MetricsRegistry } from './metrics-registry.ts';

/** From well below a flush to the disk up to where clients give up. */
const DURATION_BOUNDS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** How often the event loop's delay is sampled: rarely, because idling should cost nothing. */
const LAG_RESOLUTION_MS = 500;

/** Counting further tells nobody more. */
const UNSERVED_MAX = 1_000;

/** Takes in what happens, and renders it. */
export class CoordinatorMetrics {
  readonly registry = new MetricsRegistry();
  readonly #requests = this.registry.counter({
    name: 'dc_http_requests',
    help: 'Requests answered.',
    labels: ['method', 'route', 'status'],
  });
  readonly #durations = this.registry.histogram(
    {
      name: 'dc_http_request_duration_seconds',
      help: 'From the request line to the end of the answer; streams are not in it.',
      labels: ['method', 'route'],
    },
    DURATION_BOUNDS_S,
  );
  readonly #jobs = this.registry.counter({
    name: 'dc_jobs',
    help: 'Runs of jobs by what became of them.',
    labels: ['topic', 'outcome'],
  });
  #stopLag: () => void = () => undefined;

  readonly onAnswer = (answer: {
    route: string;
    method: string;
    status: number;
    seconds: number;
    isStream: boolean;
  }): void => {
    this.#requests.add([answer.method, answer.route, answer.status]);
    if (!answer.isStream) this.#durations.observe([answer.method, answer.route], answer.seconds);
  };

  readonly onJob = (event: JobEvent): void => this.#jobs.add([event.topic, event.outcome]);

  /** Adds what is asked for when somebody looks. Until `stop`. */
  observe(context: Context, version: string): void {
    const { registry } = this;
    const { db, streams, clock, config } = context;
    const presence = () => ({ now: clock.now(), offlineAfterMs: config.agents.offlineAfterMs });
    registry.gauge(
      { name: 'dc_build_info', help: 'The version that runs.', labels: ['version', 'node'] },
      () => [{ labels: [version, process.versions.node], value: 1 }],
    );
    registry.gauge({ name: 'dc_event_streams', help: 'Open streams of server-sent events.' }, () => [
      { labels: [], value: streams.size },
    ]);
    registry.gauge({ name: 'dc_contracts', help: 'Contracts by state.', labels: ['state'] }, async () => {
      const rows = await db.read
        .selectFrom('contracts')
        .select(['state', (expression) => expression.fn.countAll<number>().as('count')])
        .groupBy('state')
        .execute();
      return rows.map((row) => ({ labels: [row.state], value: row.count }));
    });
    registry.gauge(
      {
        name: 'dc_offerings',
        help: 'Offerings by whether they can be rented, and why not.',
        labels: ['stock'],
      },
      async () =>
        (await countStock(db.read, presence())).map(({ stock, count }) => ({
          labels: [stock],
          value: count,
        })),
    );
    registry.gauge(
      { name: 'dc_orders_unserved', help: 'Paid orders that wait for an agent which is not there.' },
      async () => [{ labels: [], value: (await listWaiting(db.read, presence(), UNSERVED_MAX)).length }],
    );
    registry.gauge(
      { name: 'dc_outbox_rows', help: 'Rows of the outbox that are not done.', labels: ['topic', 'state'] },
      async () =>
        (await outboxBacklog(db.read)).flatMap(({ topic, waiting, needsAttention }) => [
          { labels: [topic, 'waiting'], value: waiting },
          { labels: [topic, 'needs_attention'], value: needsAttention },
        ]),
    );
    registry.gauge(
      { name: 'dc_safe_mode', help: '1 while nothing is acted upon; see the safe mode.' },
      async () => [{ labels: [], value: (await findSafeMode(db.read)) === null ? 0 : 1 }],
    );
    this.#observeProcess();
  }

  /** Ends the sampling. */
  stop(): void {
    this.#stopLag();
  }

  #observeProcess(): void {
    const lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
    lag.enable();
    this.#stopLag = () => lag.disable();
    this.registry.gauge(
      {
        name: 'dc_event_loop_lag_seconds',
        help: 'How late timers fired since the last look.',
        labels: ['quantile'],
      },
      () => {
        const samples = [50, 99].map((percent) => ({
          labels: [percent / 100],
          value: Math.max(0, lag.percentile(percent) / 1e9 - LAG_RESOLUTION_MS / 1000),
        }));
        lag.reset();
        return samples;
      },
    );
    this.registry.gauge({ name: 'process_resident_memory_bytes', help: 'Memory in use.' }, () => [
      { labels: [], value: process.memoryUsage.rss() },
    ]);
    this.registry.gauge({ name: 'process_cpu_seconds', help: 'Processor time used so far.' }, () => {
      const { user, system } = process.cpuUsage();
      return [{ labels: [], value: (user + system) / 1e6 }];
    });
  }
}
