/**
 * Waits for tasks of Proxmox VE. A task is known by its UPID, which is stored before anybody waits for it (I10): after
 * a crash the same wait goes on. `UPID:node:pid:pstart:starttime:type:id:user:`; which node to ask stands in it, since
 * a task of another node than the one we talk to is unknown here.
 */
import { Type } from 'typebox';
import Value from 'typebox/value';
import { sleep, type Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { type PveClient, PveRefusal } from './pve-client.ts';
import { pvePath } from './pve-path.ts';

/** Just after it was begun, a task's status is answered with 400 or 500 for a moment. */
const UNKNOWN_AT_FIRST_MS = 10_000;
/** The API gives 50 lines unless asked for more. */
const LOG_LINES_MAX = 500;

const StatusSchema = Type.Object({ status: Type.String(), exitstatus: Type.Optional(Type.String()) });
const LogSchema = Type.Array(Type.Object({ n: Type.Integer(), t: Type.String() }));

/** A task that has ended well. */
export interface TaskOutcome {
  /** What it warned of: `WARNINGS: n` is a success whose log says more. */
  readonly warnings: readonly string[];
}

/** A task that has ended, and not well. Its words are for the log and for deciding, never for people. */
export class PveTaskFailure extends Error {
  readonly upid: string;
  /** The last lines of its log, so that nobody has to open Proxmox's own page. */
  readonly log: readonly string[];

  constructor(upid: string, exitStatus: string, log: readonly string[]) {
    super(exitStatus);
    this.name = 'PveTaskFailure';
    this.upid = upid;
    this.log = log;
  }
}

export interface TaskWait {
  readonly client: PveClient;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How long the task may take; after that nobody knows how it ends. */
  readonly timeoutMs: number;
}

/** The node that a UPID's task runs on. Throws PROVISIONER_FAILED for a text that is no UPID. */
export function nodeOfUpid(upid: string): string {
  const node = /^UPID:([A-Za-z0-9.-]+):[0-9A-Fa-f]{8}:/.exec(upid)?.[1];
  if (node === undefined) throw new AppError('PROVISIONER_FAILED', 'Proxmox answered no task id.');
  return node;
}

/**
 * Waits until the task has ended. Throws a PveTaskFailure where it failed, PROVISIONER_UNAVAILABLE where it did not
 * end in time or its node does not answer, the PveRefusal where we may not look (403), SAGA_ABORTED. None of these
 * but the first says what became of the work: look at the VM. The work is never begun again from here.
 */
export async function awaitTask(upid: string, wait: TaskWait): Promise<TaskOutcome> {
  const { client, clock, signal, timeoutMs } = wait;
  const begun = clock.monotonic();
  const kind = kindOf(upid);
  for (;;) {
    const waitedMs = clock.monotonic() - begun;
    const exitStatus = await readExit(upid, wait, waitedMs);
    if (exitStatus !== null) {
      client.pace.note(kind, waitedMs);
      return outcomeOf(upid, exitStatus, wait);
    }
    if (waitedMs >= timeoutMs)
      throw new AppError('PROVISIONER_UNAVAILABLE', 'A task of Proxmox did not end in time.');
    const pauseMs = client.pace.pauseMs(kind, clock.monotonic() - begun);
    await sleep(clock, Math.min(pauseMs, timeoutMs - waitedMs), signal).catch(() => {
      throw new AppError('SAGA_ABORTED', 'Waiting for a task was stopped.', { cause: signal.reason });
    });
  }
}

/** What sort of work it is: how long others took says something of this one. */
const kindOf = (upid: string): string => upid.split(':')[5] ?? '';

/** The exit status; null while it runs, or while nobody can tell. */
async function readExit(
  upid: string,
  { client, signal }: TaskWait,
  waitedMs: number,
): Promise<string | null> {
  try {
    const path = pvePath`/nodes/${nodeOfUpid(upid)}/tasks/${upid}/status`;
    const status = Value.Parse(StatusSchema, await client.get(path, signal));
    return status.status === 'stopped' ? (status.exitstatus ?? 'unknown exit status') : null;
  } catch (error) {
    if (isPassing(error) || (isUnknownTask(error) && waitedMs < UNKNOWN_AT_FIRST_MS)) return null;
    throw error;
  }
}

/** No answer, or the proxy's (595, 596, 599): the task runs on whether we hear of it or not. */
const isPassing = (error: unknown): boolean =>
  isAppError(error, 'PROVISIONER_UNAVAILABLE') || (error instanceof PveRefusal && error.status >= 501);

const isUnknownTask = (error: unknown): boolean =>
  error instanceof PveRefusal && (error.status === 400 || error.status === 500);

async function outcomeOf(upid: string, exitStatus: string, wait: TaskWait): Promise<TaskOutcome> {
  if (exitStatus === 'OK') return { warnings: [] };
  const log = await readLog(upid, wait);
  if (/^WARNINGS: \d+$/.test(exitStatus)) return { warnings: log.filter((line) => line.startsWith('WARN')) };
  throw new PveTaskFailure(upid, exitStatus, log.slice(-50));
}

/** What can be read of the log; how the task ended is known without it. */
async function readLog(upid: string, { client, signal }: TaskWait): Promise<string[]> {
  try {
    const path = pvePath`/nodes/${nodeOfUpid(upid)}/tasks/${upid}/log`;
    const lines = Value.Parse(LogSchema, await client.get(path, signal, { limit: LOG_LINES_MAX }));
    return lines.map(({ t }) => t);
  } catch (error) {
    if (isAppError(error, 'SAGA_ABORTED')) throw error;
    return []; // The reasons stay at the host; the exit status is what counts.
  }
}
