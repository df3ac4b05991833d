/** The program on a real pseudo-terminal, made by `script`, with somebody who reads and types. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { shellLine } from '../host.ts';

const MAIN = new URL('../../../main.ts', import.meta.url).pathname;

/** What a run needs of the environment. */
export type RunEnv = Readonly<Record<string, string>>;

export class TerminalSession {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<number | null>;
  #text = '';
  #seen = 0;
  #wake = (): void => undefined;

  constructor(args: readonly string[], env: RunEnv) {
    const command = shellLine([process.execPath, MAIN, ...args]);
    this.#child = spawn('script', ['-qefc', `stty cols 200 rows 50; exec ${command}`, '/dev/null'], {
      env: { ...env, TERM: 'xterm', SHELL: '/bin/sh' },
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    this.#child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      this.#text += chunk;
      this.#wake();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', (code) => {
        resolve(code);
        this.#wake();
      });
    });
  }

  /** Everything on the screen so far, without what only moves or paints. */
  get text(): string {
    return stripVTControlCharacters(this.#text);
  }

  /** Waits until something stands there that was not there at the last call. Throws where the program ends before. */
  async sees(words: string): Promise<void> {
    for (;;) {
      const at = this.text.indexOf(words, this.#seen);
      if (at >= 0) {
        this.#seen = at + words.length;
        return;
      }
      const isOver = await Promise.race([
        this.#ended.then(() => true),
        new Promise<boolean>((resolve) => {
          this.#wake = () => resolve(false);
        }),
      ]);
      if (isOver && !this.text.includes(words, this.#seen))
        throw new Error(`It ended before it said ${JSON.stringify(words)}:\n${this.text}`);
    }
  }

  types(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** Kills all of it, as a power cut does. */
  async kill(): Promise<void> {
    process.kill(-(this.#child.pid ?? 0), 'SIGKILL');
    await this.#ended;
  }

  /** The exit code. */
  ended(): Promise<number | null> {
    return this.#ended;
  }
}

/** The same program without a terminal. */
export function runPlain(
  args: readonly string[],
  env: RunEnv,
): Promise<{ code: number | null; out: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => void (out += chunk));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out })));
}
