/** One of the programs as a child process: its log, its pid file, its restarts and its end. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ROOT = resolve(import.meta.dirname, '..');
const STOP_TIMEOUT_MS = 20_000;
const STEADY_MS = 10_000;
const LONGEST_WAIT_MS = 10_000;
const READY_TIMEOUT_MS = 30_000;

export interface ProgramWait {
  timeoutMs?: number;
  pollMs?: number;
  signal?: AbortSignal;
  onPoll?: () => void;
}

/** How long to wait before a program that ended is started again: longer each time, unless it ran for 10 s. */
export class RestartBackoff {
  #inARow = 0;

  /** The wait in milliseconds, after a run of `ranForMs`. */
  next(ranForMs: number): number {
    this.#inARow = ranForMs >= STEADY_MS ? 1 : this.#inARow + 1;
    return Math.min(200 * 2 ** this.#inARow, LONGEST_WAIT_MS);
  }
}

/** A program that runs with our Node from the repository, writes NAME.log and NAME.pid, and is ended by us only. */
export class ChildProgram {
  readonly name: string;
  /** From when it is set: the program is started again when it ends by itself, and one line about that goes here. */
  onRestart: ((line: string) => void) | null = null;
  readonly #dataDir: string;
  readonly #args: string[];
  readonly #backoff = new RestartBackoff();
  #child: ChildProcess | null = null;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(name: string, dataDir: string, args: string[]) {
    this.name = name;
    this.#dataDir = dataDir;
    this.#args = args;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get hasEnded(): boolean {
    return this.#child === null || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  start(): void {
    this.#stopping = false;
    const log = openSync(this.#logFile, 'a');
    // A group of its own: Ctrl-C reaches only us, and we end the two in order.
    const child = spawn(process.execPath, this.#args, {
      cwd: ROOT,
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    const startedAtMs = performance.now();
    writeFileSync(join(this.#dataDir, `${this.name}.pid`), String(child.pid));
    child.once('exit', (code, signal) => {
      if (this.#stopping || this.onRestart === null) return;
      const waitMs = this.#backoff.next(performance.now() - startedAtMs);
      const time = new Date().toTimeString().slice(0, 8);
      const how = signal === null ? `with code ${String(code)}` : `by ${signal}`;
      this.onRestart(
        `${time}  The ${this.name} ended ${how}; it starts again in ${String(waitMs / 1000)} s. Log: ${this.#logFile}`,
      );
      this.#restart = setTimeout(() => this.start(), waitMs);
    });
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** The end of the program's log, for an error message. */
  logTail(): string {
    return this.log().split('\n').slice(-15).join('\n');
  }

  /** All that it has said. */
  log(): string {
    return existsSync(this.#logFile) ? readFileSync(this.#logFile, 'utf8') : '';
  }

  /** Waits for something that the program is to do. Throws with the end of its log, or with the signal's reason. */
  async until(condition: () => Promise<boolean>, wait: ProgramWait = {}): Promise<void> {
    const { timeoutMs = READY_TIMEOUT_MS, pollMs = 20, signal, onPoll } = wait;
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const met = await condition().catch(() => false); // Not listening yet is the expected answer here.
      onPoll?.();
      if (met) return;
      signal?.throwIfAborted();
      if (this.hasEnded) throw new Error(`The ${this.name} ended at its start:\n${this.logTail()}`);
      if (Date.now() > deadline)
        throw new Error(`The ${this.name} was not ready in time:\n${this.logTail()}`);
      await delay(pollMs);
    }
  }

  get #logFile(): string {
    return join(this.#dataDir, `${this.name}.log`);
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === null || this.hasEnded) return;
    const ended = new Promise<void>((resolve) =>
      child.once('exit', () => {
        resolve();
      }),
    );
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    rmSync(join(this.#dataDir, `${this.name}.pid`), { force: true });
  }
}

/** Ends what an earlier run left behind when it was killed itself. Only processes that run from this data folder. */
export async function endLeftovers(dataDir: string): Promise<void> {
  for (const name of ['agent', 'coordinator', 'proxmox']) {
    const file = join(dataDir, `${name}.pid`);
    if (!existsSync(file)) continue;
    const pid = Number(readFileSync(file, 'utf8'));
    const commandLine = `/proc/${String(pid)}/cmdline`;
    if (existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes(dataDir)) {
      process.kill(pid, 'SIGKILL');
      while (!hasLetGo(pid)) await delay(10); // SIGKILL cannot be refused.
    }
    rmSync(file, { force: true });
  }
}

/**
 * Whether a killed process has closed its sockets. Its command line goes before that, and its first thread may be a
 * zombie while the others still hold them.
 */
function hasLetGo(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
    const isZombie = /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
    return isZombie && readdirSync(`/proc/${String(pid)}/task`).length <= 1;
  } catch {
    return true; // It is gone altogether.
  }
}
