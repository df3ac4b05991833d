/** `npm start`: the whole system on this machine, until Ctrl-C. */
import { createServer } from 'node:net';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { endLeftovers } from './child-program.ts';
import { claimDataFolder, DEFAULT_DATA_DIR, emptyDataFolder, RefusedError } from './data-folder.ts';
import { startSystem } from './start-system.ts';

const USAGE = `Usage: npm start -- [--port 8787] [--fresh] [--data-dir DIR]

Runs a coordinator and one agent on 127.0.0.1, with three offerings to rent.
  --port N       where the page is (8787)
  --fresh        starts over: deletes what is in the data folder first
  --data-dir D   where everything is kept (.data)
`;

const DEFAULT_PORT = '8787';
const PARENT_CHECK_MS = 1_000;

async function main(): Promise<number> {
  const startedAt = performance.now();
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: DEFAULT_PORT },
      fresh: { type: 'boolean', default: false },
      'data-dir': { type: 'string', default: DEFAULT_DATA_DIR },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    process.stderr.write(`--port takes a number from 1 to 65535, not "${values.port}".\n\n${USAGE}`);
    return 2;
  }
  const dataDir = resolve(values['data-dir']);
  process.once('exit', claimDataFolder(dataDir, `http://127.0.0.1:${String(port)}`));
  await endLeftovers(dataDir);
  if (!(await isFree(port))) {
    const other = npmStart({ dataDir, port: port === 65_535 ? 8787 : port + 1 });
    process.stderr.write(
      `Port ${String(port)} is in use. Stop what listens there, or choose another: ${other}\n`,
    );
    return 2;
  }
  if (values.fresh) emptyDataFolder(dataDir);
  const stopped = waitForStop();
  const onRestart = (line: string): void => void process.stdout.write(`  ${line}\n`);
  const system = await startSystem({ dataDir, port, onRestart });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`
  Ready in ${seconds} s.

  Page    ${system.url}/
  Next    open the page, pick an offering and pay (test money),
          or in another terminal: npm run rent${values.port === DEFAULT_PORT ? '' : ` -- --url ${system.url}`}
  Proof   ${system.url}/api/v1/providers/${system.providerKey}/evidence
          is what the agent has claimed so far; to check it: npm run agent -- verify-evidence FILE
  Data    ${shownPath(dataDir)}  (${npmStart({ fresh: true, dataDir, port })} starts over)

  Ctrl-C stops. What is rented stays, and comes back with the next npm start.

`);
  await stopped;
  process.stdout.write('\n  Draining …\n');
  await system.stop();
  process.stdout.write('  Stopped.\n');
  return 0;
}

/** The command that starts on this data and port; what is the default is left out. */
function npmStart({ fresh, dataDir, port }: { fresh?: boolean; dataDir: string; port: number }): string {
  const words = ['npm start --'];
  if (fresh) words.push('--fresh');
  if (dataDir !== DEFAULT_DATA_DIR) words.push('--data-dir', quote(shownPath(dataDir)));
  if (String(port) !== DEFAULT_PORT) words.push('--port', String(port));
  return words.join(' ');
}

/** Relative inside the current folder, absolute outside of it. */
function shownPath(path: string): string {
  const fromHere = relative(process.cwd(), path) || '.';
  return fromHere === '..' || fromHere.startsWith(`..${sep}`) || isAbsolute(fromHere) ? path : fromHere;
}

/** A path as a shell takes it. */
function quote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/**
 * Resolves at the first Ctrl-C, SIGTERM, or SIGHUP (the terminal was closed), or when the launcher that started us is
 * gone. More of them change nothing (a process group may have the same one twice): ending before the two programs
 * would leave them behind, and their port taken.
 */
function waitForStop(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
    // Only a launcher is watched: the shell of nohup or setsid may end and leave us running.
    const parent = process.ppid;
    if (process.env['DC_LAUNCHER_PID'] !== String(parent)) return;
    setInterval(() => {
      if (process.ppid !== parent) resolve();
    }, PARENT_CHECK_MS).unref();
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

// A terminal that was closed takes no more text (EIO, EPIPE). That must not end us before the two programs.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage =
    error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS');
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(isUsage ? `${message}\n\n${USAGE}` : `${message}\n`);
  process.exitCode = isUsage || error instanceof RefusedError ? 2 : 1;
}
