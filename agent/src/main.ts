#!/usr/bin/env node
/** Entry of `dc-agent`: the real world for the command line, signals, and the exit code. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { runCli } from './cli.ts';
import { readEnvironment } from './config/environment.ts';
import type { CommandWorld } from './lib/command.ts';
import { EXIT } from './lib/exit-code.ts';
import { systemClock } from './lib/system-clock.ts';
import { systemRandom } from './lib/system-random.ts';

let signals: Promise<NodeJS.Signals> | null = null;

/** The first signal asks, the second one ends the process. Without a call the first one does. */
function signalled(): Promise<NodeJS.Signals> {
  signals ??= new Promise((resolve) => {
    let isAsked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (isAsked) process.exit(signal === 'SIGTERM' ? EXIT.sigterm : EXIT.sigint);
        isAsked = true;
        resolve(signal);
      });
    }
  });
  return signals;
}

/** Reads one line; what is typed on a terminal is not shown. */
async function readSecret(prompt: string): Promise<string> {
  const isTerminal = process.stdin.isTTY;
  if (isTerminal) process.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: isTerminal });
  lines.on('SIGINT', () => process.exit(EXIT.sigint)); // In raw mode Ctrl-C is a key like any other.
  try {
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
    if (isTerminal) process.stderr.write('\n');
  }
}

/** Reads one line that may be seen. */
async function readLine(prompt: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  lines.on('SIGINT', () => process.exit(EXIT.sigint));
  lines.setPrompt(prompt);
  lines.prompt();
  try {
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
  }
}

const world: CommandWorld = {
  clock: systemClock,
  random: systemRandom,
  environment: readEnvironment(),
  isTerminal: process.stdout.isTTY,
  print: (line) => void process.stdout.write(`${line}\n`),
  complain: (line) => void process.stderr.write(`${line}\n`),
  readSecret,
  readLine,
  signalled,
};

// A reader that goes away (`| head`) is not a failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed);
});

process.exitCode = await runCli(process.argv.slice(2), world);
// Nothing of ours is left that should keep the process; what a library keeps must not.
process.exit();
