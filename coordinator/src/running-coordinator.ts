/** A coordinator while it runs: where it listens, and how it starts and stops. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { AppError } from '@dc/shared/errors';
import type { Context } from './context.ts';
import type { CoordinatorMetrics } from './health/coordinator-metrics.ts';
import { listenMetrics, type MetricsServer } from './health/metrics-server.ts';
import type { JobRunner } from './jobs/job-runner.ts';

/** Connections that wait to be taken. After a restart every agent comes back within a second; the system may allow less. */
const BACKLOG = 4_096;

/** The parts that start and stop. */
export interface RunningParts {
  context: Context;
  app: FastifyInstance;
  jobs: JobRunner;
  metrics: CoordinatorMetrics;
  version: string;
}

/** Starts and stops a coordinator, in the order that loses nothing. */
export class RunningCoordinator {
  readonly #parts: RunningParts;
  #metricsServer: MetricsServer | null = null;
  #stopped: Promise<void> | null = null;

  constructor(parts: RunningParts) {
    this.#parts = parts;
  }

  async startWork(): Promise<void> {
    await this.#parts.context.signals.start();
    await this.#parts.jobs.start();
  }

  async listen(): Promise<{ url: string; metricsUrl: string | null }> {
    const { app, context, metrics, version } = this.#parts;
    const { listen, metricsPort } = context.config;
    if (metricsPort !== null) {
      metrics.observe(context, version);
      this.#metricsServer = await listenMetrics(metrics.registry, metricsPort);
    }
    try {
      await app.listen({ host: listen.host, port: listen.port, backlog: BACKLOG });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      throw new AppError(
        'PORT_IN_USE',
        `Something listens on ${listen.host}:${String(listen.port)} already.`,
      );
    }
    const { port } = app.server.address() as AddressInfo;
    const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
    return { url: `http://${host}:${String(port)}`, metricsUrl: this.#metricsServer?.url ?? null };
  }

  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    const { app, context, jobs, metrics } = this.#parts;
    // Whoever sends a request drop by drop must not keep us from stopping.
    const cancel = context.clock.schedule(graceMs, () => app.server.closeAllConnections());
    // What a request wants to write must find the database open, so it closes last.
    await Promise.all([app.close(), jobs.drain(graceMs)]);
    cancel();
    await context.signals.stop();
    metrics.stop();
    await this.#metricsServer?.close();
    await context.db.close();
  }
}
