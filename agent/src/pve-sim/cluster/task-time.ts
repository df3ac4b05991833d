/** Lets a task take the time that it is set to take. */
import { sleep } from '@dc/shared/clock';
import { PveError } from '../http/pve-error.ts';
import type { Cluster } from './cluster.ts';
import type { TaskRun } from './tasks.ts';
import type { Timing } from './timing.ts';

/** Waits as long as `what` takes. Rejects at once when the task is stopped, and at the end where it is to fail. */
export async function taskTime(cluster: Cluster, run: TaskRun, what: keyof Timing): Promise<void> {
  await sleep(cluster.clock, cluster.timing[what], run.signal);
  const failure = run.willFail;
  if (failure === undefined) return;
  run.willFail = undefined;
  throw PveError.failed(failure);
}
