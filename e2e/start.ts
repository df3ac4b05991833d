/** `npm start`: the whole system on this machine, until Ctrl-C. */
import { createServer } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { endLeftovers, startSystem } from './start-system.ts';

const USAGE = `Usage: npm start -- [--port 8787] [--fresh] [--data-dir DIR]

Runs a coordinator and one agent on 127.0.0.1, with three offerings to rent.
  --port N       where the page is (8787)
  --fresh        starts over: deletes the data folder first
  --data-dir D   where everything is kept (.data)
`;

async function main(): Promise<number> {
  const startedAt = performance.now();
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8787' },
      fresh: { type: 'boolean', default: false },
      'data-dir': { type: 'string', default: join(import.meta.dirname, '..', '.data') },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    process.stderr.write(`--port takes a number from 1 to 65535, not "${values.port}".\n`);
    return 2;
  }
  const dataDir = resolve(values['data-dir']);
  await endLeftovers(dataDir);
  if (!(await isFree(port))) {
    process.stderr.write(
      `Port ${String(port)} is in use. Stop what listens there, or choose another: npm start -- --port 8788\n`,
    );
    return 2;
  }
  const stopped = waitForStop();
  const system = await startSystem({ dataDir, port, fresh: values.fresh, supervise: true });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`
  Ready in ${seconds} s.

  Page    ${system.url}/
  Next    open the page, pick an offering and pay (test money),
          or in another terminal: npm run rent
  Proof   ${system.url}/api/v1/providers/${system.providerKey}/evidence
          is what the agent has claimed so far; to check it: npm run agent -- verify-evidence FILE
  Data    ${relative(process.cwd(), dataDir) || '.'}  (npm start -- --fresh starts over)

  Ctrl-C stops. What is rented stays, and comes back with the next npm start.

`);
  await stopped;
  process.stdout.write('\n  Draining …\n');
  await system.stop();
  process.stdout.write('  Stopped.\n');
  return 0;
}

/**
 * Resolves at the first Ctrl-C or SIGTERM. More of them change nothing (a process group may have the same one twice):
 * ending before the two programs would leave them behind, and their port taken.
 */
function waitForStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  const isUsage =
    error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  process.exitCode = isUsage ? 2 : 1;
}
