/** `npm start`: the whole system on this machine, until Ctrl-C. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { endLeftovers } from './child-program.ts';
import {
  claimDataFolder,
  DEFAULT_DATA_DIR,
  emptyDataFolder,
  PROXMOX_DATA_DIR,
  RefusedError,
} from './data-folder.ts';
import { isClusterFolder, type ClusterGuests } from './proxmox-demo.ts';
import { startSystem } from './start-system.ts';

const USAGE = `Usage: npm start -- [--port 8787] [--fresh] [--data-dir DIR] [--proxmox] [--qemu]

Runs a coordinator and one agent on 127.0.0.1, with three offerings to rent.
  --port N       where the page is (8787)
  --fresh        starts over: deletes what is in the data folder first
  --data-dir D   where everything is kept (.data; .data/proxmox-demo with --proxmox)
  --proxmox      rents out machines of a simulated Proxmox VE cluster; it forgets them, and starts over each time
  --qemu         the same with real machines (QEMU); the first time an image is built, which takes root and minutes
`;

const DEFAULT_PORT = '8787';
const PARENT_CHECK_MS = 1_000;

async function main(): Promise<number> {
  const startedAt = performance.now();
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: DEFAULT_PORT },
      fresh: { type: 'boolean', default: false },
      'data-dir': { type: 'string' },
      proxmox: { type: 'boolean', default: false },
      qemu: { type: 'boolean', default: false },
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
  const guests: ClusterGuests | undefined = values.qemu ? 'qemu' : values.proxmox ? 'simulated' : undefined;
  const dataDir = resolve(values['data-dir'] ?? defaultDataDir(guests));
  const isFresh = values.fresh || refuseMixture(dataDir, guests);
  process.once('exit', claimDataFolder(dataDir, `http://127.0.0.1:${String(port)}`));
  await endLeftovers(dataDir);
  if (!(await isFree(port))) {
    const other = npmStart({ dataDir, port: port === 65_535 ? 8787 : port + 1, guests });
    process.stderr.write(
      `Port ${String(port)} is in use. Stop what listens there, or choose another: ${other}\n`,
    );
    return 2;
  }
  if (isFresh) emptyDataFolder(dataDir);
  const stopped = waitForStop();
  const [onRestart, onLine] = [tell, tell];
  const proxmox = guests === undefined ? {} : { proxmox: guests };
  const starting = startSystem({ dataDir, port, onRestart, onLine, signal: stopped.signal, ...proxmox });
  const system = await starting.catch((error: unknown) => {
    if (stopped.signal.aborted) return null;
    throw error;
  });
  if (system === null) {
    tell('Stopped.');
    return 0;
  }
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`
  Ready in ${seconds} s.

  Page    ${system.url}/
  Next    open the page, pick an offering and pay (test money),
          or in another terminal: npm run rent${values.port === DEFAULT_PORT ? '' : ` -- --url ${system.url}`}
  Proof   ${system.url}/api/v1/providers/${system.providerKey}/evidence
          is what the agent has claimed so far; to check it: npm run agent -- verify-evidence FILE
  Data    ${shownPath(dataDir)}  (${npmStart({ fresh: guests === undefined, dataDir, port, guests })} starts over)

  Ctrl-C stops. ${guests === undefined ? 'What is rented stays, and comes back with the next npm start.' : 'The cluster forgets its machines then.'}

`);
  await stopped.promise;
  process.stdout.write('\n  Draining …\n');
  await system.stop();
  process.stdout.write('  Stopped.\n');
  return 0;
}

const tell = (line: string): void => void process.stdout.write(`  ${line}\n`);

const defaultDataDir = (guests?: ClusterGuests): string =>
  guests === undefined ? DEFAULT_DATA_DIR : PROXMOX_DATA_DIR;

/**
 * Whether to start over, since the cluster of the last time is gone with its machines. Throws RefusedError for a folder
 * of the other demonstration: starting over is not what its owner asked for.
 */
function refuseMixture(dataDir: string, guests?: ClusterGuests): boolean {
  const isOther = isClusterFolder(dataDir) !== (guests !== undefined);
  if (isOther && existsSync(join(dataDir, 'coordinator.toml')))
    throw new RefusedError(
      `${dataDir} has the data of the other demonstration, with or without --proxmox. Nothing was touched. ` +
        'Choose another --data-dir, or delete it with --fresh.',
    );
  return guests !== undefined;
}

/** A started system, as a command. */
interface StartWords {
  fresh?: boolean;
  dataDir: string;
  port: number;
  guests: ClusterGuests | undefined;
}

/** The command that starts on this data and port; what is the default is left out. */
function npmStart({ fresh, dataDir, port, guests }: StartWords): string {
  const words = ['npm start --'];
  if (guests !== undefined) words.push(guests === 'qemu' ? '--qemu' : '--proxmox');
  if (fresh) words.push('--fresh');
  if (dataDir !== defaultDataDir(guests)) words.push('--data-dir', quote(shownPath(dataDir)));
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
 * Resolves (and aborts its signal) at the first Ctrl-C, SIGTERM, or SIGHUP (the terminal was closed), or when the
 * launcher that started us is gone. More of them change nothing (a process group may have the same one twice): ending
 * before the programs would leave them behind, and their port taken.
 */
function waitForStop(): { promise: Promise<void>; signal: AbortSignal } {
  const stop = new AbortController();
  const promise = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
    // Only a launcher is watched: the shell of nohup or setsid may end and leave us running.
    const parent = process.ppid;
    if (process.env['DC_LAUNCHER_PID'] !== String(parent)) return;
    setInterval(() => {
      if (process.ppid !== parent) stop.abort();
    }, PARENT_CHECK_MS).unref();
  });
  return { promise, signal: stop.signal };
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
