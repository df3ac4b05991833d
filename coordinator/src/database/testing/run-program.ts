/** Runs a program of a test's own in another process: what only several processes show cannot be tested in one. */
import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';

/** A program that runs until it ends or the test does. */
export interface TestProgram {
  /** Resolves with what it printed; rejects, with what it said, unless it ended with 0. */
  finished: Promise<string>;
  /** Resolves when it has printed `text`. */
  printed(text: string): Promise<void>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

/** Starts `node file …parameters`. */
export function runProgram(file: string, parameters: readonly string[]): TestProgram {
  const child = spawn(process.execPath, [file, ...parameters], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let complaints = '';
  const gone = new Promise<number | null>((resolve) => child.once('close', resolve));
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text));
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await gone;
  };
  onTestFinished(kill);
  const finished = gone.then((code) => {
    if (code !== 0) throw new Error(`${file} ended with ${String(code)}: ${complaints}`);
    return output;
  });
  finished.catch(() => undefined); // A test that kills its program does not look at how it ended.
  const printed = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (output.includes(text)) resolve();
      };
      look();
      child.stdout.on('data', look);
      void gone.then(() => reject(new Error(`${file} ended without printing ${text}: ${complaints}`)));
    });
  return { finished, printed, kill };
}
