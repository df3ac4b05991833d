/** Whether this process lives, and whether it should get requests. For load balancers: cheap, and never limited. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { closed } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { appliedMigrations } from '../database/migrate.ts';
import { MIGRATIONS } from '../database/migrations/index.ts';
import { readRoute, type Route } from '../http/route.ts';
import { outboxBacklog } from '../jobs/outbox.ts';

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
      schema: { response: closed({ status: Type.Literal('ready') }) },
      errors: [],
      isExemptFromRateLimits: true,
      async handle({ now }) {
        const problem = await findProblem(context, now);
        if (problem !== null) throw new AppError('SERVICE_UNAVAILABLE', problem);
        return { status: 200, body: { status: 'ready' as const } };
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
