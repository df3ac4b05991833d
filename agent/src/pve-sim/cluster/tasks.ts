/**
 * The tasks of a cluster: work that goes on after its call was answered, with a UPID, a log and an exit status.
 * A task that ends well says `OK`, with warnings `WARNINGS: n`, otherwise why it failed.
 */
import type { Clock } from '@dc/shared/clock';
import { formatUpid } from './upid.ts';

const KEPT_MAX = 2_000; // As many ended tasks are remembered; Proxmox VE rotates its index too.

/** One task, running or ended. */
export interface Task {
  readonly upid: string;
  readonly node: string;
  readonly pid: number;
  readonly pstart: number;
  /** Seconds since the epoch. */
  readonly starttime: number;
  readonly type: string;
  readonly id: string;
  /** `user@realm`, and the token's name where one was used. */
  readonly user: string;
  readonly tokenid: string | undefined;
  /** On the monotonic clock. */
  readonly startedAtMs: number;
  readonly log: string[];
  endtime: number | undefined;
  /** Undefined while it runs. */
  exitstatus: string | undefined;
  stop: () => void;
}

/** What a task is started with. */
export interface TaskStart {
  readonly node: string;
  readonly type: string;
  readonly id: string;
  /** As the caller authenticated: `user@realm` or `user@realm!token`. */
  readonly authId: string;
}

/** What running work sees of its task. */
export interface TaskRun {
  readonly task: Task;
  /** Aborted when somebody stops the task, or the simulator closes. */
  readonly signal: AbortSignal;
  /** Why it is to fail in the middle of its work, where it is. */
  willFail: string | undefined;
  log(line: string): void;
  /** Says something that makes the exit status `WARNINGS: n`. */
  warn(line: string): void;
}

/** Stands between a task and its work; faults are put in here. */
export type TaskWrapper = (run: TaskRun, work: () => Promise<void>) => Promise<void>;

export class Tasks {
  readonly #clock: Clock;
  readonly #wrap: TaskWrapper;
  readonly #tasks = new Map<string, Task>();
  readonly #running = new Set<Promise<void>>();
  #pid = 1_000;

  constructor(clock: Clock, wrap: TaskWrapper) {
    this.#clock = clock;
    this.#wrap = wrap;
  }

  /** Starts `work` as a task, and answers its UPID. The work begins after this call. */
  start(start: TaskStart, work: (run: TaskRun) => Promise<void>): string {
    const abort = new AbortController();
    const task = this.#add(start, () => abort.abort(new Error('received interrupt')));
    let warnings = 0;
    const run: TaskRun = {
      task,
      signal: abort.signal,
      willFail: undefined,
      log: (line) => void task.log.push(line),
      warn: (line) => {
        warnings += 1;
        task.log.push(`WARN: ${line}`);
      },
    };
    const running = Promise.resolve()
      .then(() => this.#wrap(run, () => work(run)))
      .then(
        () => this.#end(task, warnings === 0 ? 'OK' : `WARNINGS: ${warnings}`),
        (error: unknown) => this.#end(task, abort.signal.aborted ? 'interrupted by signal' : textOf(error)),
      );
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
    return task.upid;
  }

  get(upid: string): Task | undefined {
    return this.#tasks.get(upid);
  }

  /** The newest first. */
  list(): Task[] {
    return [...this.#tasks.values()].reverse();
  }

  /** Stops every task and waits until none runs. */
  async close(): Promise<void> {
    for (const task of this.#tasks.values()) if (task.exitstatus === undefined) task.stop();
    await Promise.all(this.#running);
  }

  #add({ node, type, id, authId }: TaskStart, stop: () => void): Task {
    const [user = '', tokenid] = authId.split('!');
    this.#pid += 1;
    const startedAtMs = this.#clock.monotonic();
    const parts = {
      node,
      pid: this.#pid,
      pstart: Math.trunc(startedAtMs / 10) >>> 0,
      starttime: Math.trunc(this.#clock.now() / 1000),
      type,
      id,
    };
    const upid = formatUpid({ ...parts, user: authId });
    const task: Task = {
      ...parts,
      upid,
      user,
      tokenid,
      startedAtMs,
      log: [],
      endtime: undefined,
      exitstatus: undefined,
      stop,
    };
    this.#tasks.set(upid, task);
    if (this.#tasks.size > KEPT_MAX) this.#forgetOldest();
    return task;
  }

  #end(task: Task, exitstatus: string): void {
    task.log.push(
      exitstatus === 'OK'
        ? 'TASK OK'
        : exitstatus.startsWith('WARNINGS: ')
          ? `TASK ${exitstatus}`
          : `TASK ERROR: ${exitstatus}`,
    );
    task.endtime = Math.trunc(this.#clock.now() / 1000);
    task.exitstatus = exitstatus;
  }

  #forgetOldest(): void {
    for (const task of this.#tasks.values()) {
      if (task.exitstatus === undefined) continue;
      this.#tasks.delete(task.upid);
      return;
    }
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
