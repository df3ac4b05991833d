/** Whether this process lives, and whether it should get requests. For load balancers: cheap, and never limited. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { closed, Timestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { appliedMigrations } from '../database/migrate.ts';
import { MIGRATIONS } from '../database/migrations/index.ts';
import { readRoute, type Route } from '../http/route.ts';
import { outboxBacklog } from '../jobs/outbox.ts';
import { findSafeMode } from '../safe-mode/safe-mode-store.ts';
import { viewForAll } from '../safe-mode/view-safe-mode.ts';

/** A periodic job that is this late is not only waiting for its turn. */
const JOB_LATE_MS = 60_000;

export function healthRoutes(context: Context): Route[] {
  return [
    readRoute({
      method: 'GET',
      url: '/health/live',
      permission: 'public',
      summary: 'Answers while the process turns.',
      schema: { response: closed({ status: Type.Literal('live') }) },
      errors: [],
      isExemptFromRateLimits: true,
      handle: () => Promise.resolve({ status: 200, body: { status: 'live' as const } }),
    }),
    readRoute({
      method: 'GET',
      url: '/health/ready',
      permission: 'public',
      summary: 'Answers 200 when the database is there and up to date and the jobs run.',
      schema: {
        response: closed({
          status: Type.Literal('ready'),
          safe_mode: Type.Optional(closed({ since: Timestamp })),
        }),
      },
      errors: [],
      isExemptFromRateLimits: true,
      async handle({ now }) {
        const problem = await findProblem(context, now);
        if (problem !== null) throw new AppError('SERVICE_UNAVAILABLE', problem);
        // Still ready: agents must be able to tell what they know.
        const safeMode = await findSafeMode(context.db.read);
        const more = safeMode === null ? {} : { safe_mode: viewForAll(safeMode) };
        return { status: 200, body: { status: 'ready' as const, ...more } };
      },
    }),
  ];
}

async function findProblem({ db, log }: Context, now: number): Promise<string | null> {
  try {
    const applied = new Set(await appliedMigrations(db.read));
    if (MIGRATIONS.some(({ name }) => !applied.has(name))) return 'The database is not up to date.';
    const backlog = await outboxBacklog(db.read);
    const late = backlog.find(
      ({ topic, oldestAt }) =>
        topic.startsWith('every:') && oldestAt !== null && oldestAt < now - JOB_LATE_MS,
    );
    return late === undefined ? null : 'The periodic jobs do not run.';
  } catch (error) {
    log.error({ err: error }, 'the database cannot be read');
    return 'The database cannot be read.';
  }
}
