#!/usr/bin/env node
/** The process of dc-coordinator: signals, crashes and the exit code. What it does is in cli.ts. */
import { runCli } from './cli.ts';
import { VERSION } from './lib/version.ts';

// A promise that nobody waits for is a bug. The database is safe at any point, so that a restart is the way on.
process.on('unhandledRejection', (reason) => {
  throw reason;
});

/** The first signal drains; the second ends at once. */
function stopSignal(): Promise<'SIGTERM' | 'SIGINT'> {
  return new Promise((resolve) => {
    let hasStopped = false;
    const onSignal = (signal: 'SIGTERM' | 'SIGINT'): void => {
      if (hasStopped) process.exit(signal === 'SIGTERM' ? 143 : 130);
      hasStopped = true;
      resolve(signal);
    };
    process.on('SIGTERM', () => onSignal('SIGTERM')).on('SIGINT', () => onSignal('SIGINT'));
  });
}

const exitCode = await runCli(process.argv.slice(2), {
  version: VERSION,
  print: (line) => console.log(line),
  printError: (line) => console.error(line),
  stopSignal,
});
process.exit(exitCode);
