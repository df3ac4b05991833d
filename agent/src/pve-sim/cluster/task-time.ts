/** Lets a task take the time that it is set to take. */
import { sleep } from '@dc/shared/clock';
import type { Cluster } from './cluster.ts';
import type { TaskRun } from './tasks.ts';
import type { Timing } from './timing.ts';

/** Waits as long as `what` takes. Rejects at once when the task is stopped. */
export async function taskTime(cluster: Cluster, run: TaskRun, what: keyof Timing): Promise<void> {
  await sleep(cluster.clock, cluster.timing[what], run.signal);
}
