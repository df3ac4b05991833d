/** What a benchmark is, and what it cleans up: processes and folders never outlive a run, not even a cancelled one. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import type { Figure } from './figure.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');

/** One benchmark; `npm run bench -- NAME` runs it alone. */
export interface Bench {
  name: string;
  /** What it measures, in one line. */
  about: string;
  run(run: BenchRun): Promise<Figure[]>;
}

/** What a benchmark gets: a place for files, and ends for what it starts. */
export class BenchRun {
  readonly #ends: (() => Promise<void> | void)[] = [];
  readonly #progress: (text: string) => void;

  constructor(progress: (text: string) => void) {
    this.#progress = progress;
  }

  /** Says where it is. Shown to people, not part of the result. */
  progress(text: string): void {
    this.#progress(text);
  }

  /** `end` runs when the benchmark is over or cancelled, the newest first. */
  onEnd(end: () => Promise<void> | void): void {
    this.#ends.push(end);
  }

  /** A new folder that goes with the run: in `parent`, else on the disk that `npm start` uses too. */
  folder(parent = path.join(ROOT, '.data')): string {
    mkdirSync(parent, { recursive: true });
    const folder = mkdtempSync(path.join(parent, 'bench-'));
    this.onEnd(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  }

  /** Starts Node with a program (or an option of its own) that goes with the run. Its messages come by IPC. */
  start(file: string, args: readonly string[] = []): ChildProcess {
    const child = spawn(process.execPath, [file, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.onEnd(
      () =>
        new Promise((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) {
            resolve();
            return;
          }
          child.once('exit', () => resolve());
          child.kill('SIGKILL');
        }),
    );
    return child;
  }

  /** Ends everything. */
  async end(): Promise<void> {
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) await end();
  }
}

/** The next message of a child. Rejects when it ends instead. */
export function nextMessage<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`a process of the benchmark ended with ${String(code)}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as T);
    });
  });
}

/** A port that nobody listens on. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
