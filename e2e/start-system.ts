/**
 * Runs the whole system on loopback for a person or a test: a coordinator, and one agent registered by a real setup
 * token, each a process of its own; where it is wanted, a simulated Proxmox VE cluster too. What is in the data folder is carried on with.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { seedFromHex, SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ChildProgram, endLeftovers } from './child-program.ts';
import { TOML_HEAD } from './data-folder.ts';
import { LOCAL_OFFERINGS, setUpDemoProvider } from './demo-provider.ts';
import { PROXMOX_OFFERINGS, startCluster, useCluster, type ClusterGuests } from './proxmox-demo.ts';

const ROOT = resolve(import.meta.dirname, '..');

/** Which release to run: the sources, or the folder that `npm run build` made. */
export interface SystemOptions {
  dataDir: string;
  port: number;
  /** Gets a line when a program ended by itself after the start, and is started again. Without it nothing is. */
  onRestart?: (line: string) => void;
  /** TOML tables instead of the demonstration's own rate limits (for a benchmark, say). */
  coordinatorToml?: string;
  /** Where /metrics is served; any port unless given. */
  metricsPort?: number;
  programs?: { coordinator: string; agent: string };
  /** The agent works on a simulated Proxmox VE cluster, which is a third program, and forgets all when it ends. */
  proxmox?: ClusterGuests;
  /** Told what takes time at the start. */
  onLine?: (line: string) => void;
  /** Gives the start up. */
  signal?: AbortSignal;
}

/** One of the two programs. */
export interface Program {
  readonly pid: number | undefined;
  start(): void;
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
  /** Asks it to drain, and waits. */
  stop(): Promise<void>;
}

export interface RunningSystem {
  url: string;
  providerKey: string;
  coordinator: Program;
  agent: Program;
  /** Waits until an offering can be rented. */
  untilReady(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts both programs and returns when an offering can be rented. Throws with the end of the log when it cannot. */
export async function startSystem(options: SystemOptions): Promise<RunningSystem> {
  const dataDir = resolve(options.dataDir);
  const url = `http://127.0.0.1:${String(options.port)}`;
  await endLeftovers(dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });

  const programs = options.programs ?? { coordinator: 'coordinator/src/main.ts', agent: 'agent/src/main.ts' };
  const coordinatorConfig = join(dataDir, 'coordinator.toml');
  const agentConfig = join(dataDir, 'agent', 'dc-agent.toml');
  writeFileSync(coordinatorConfig, coordinatorToml(options, url, dataDir));
  const providerKey = SigningKey.fromSeed(loadSeed(join(dataDir, 'provider.key')));

  const coordinator = new ChildProgram('coordinator', dataDir, [
    programs.coordinator,
    'serve',
    '--config',
    coordinatorConfig,
  ]);
  const agent = new ChildProgram('agent', dataDir, [programs.agent, 'run', '--config', agentConfig]);
  let cluster: ChildProgram | null = null;
  const system: RunningSystem = {
    url,
    providerKey: providerKey.publicKey,
    coordinator,
    agent,
    untilReady: () => untilRentable(url, agent),
    async stop() {
      await agent.stop(); // First the agent: its last reports still find the coordinator.
      await coordinator.stop();
      await cluster?.stop();
    },
  };
  const { proxmox: guests, onLine = () => undefined, signal = new AbortController().signal } = options;
  try {
    if (guests !== undefined) cluster = await startCluster({ dataDir, guests, onLine, signal });
    coordinator.start();
    await untilAnswers(`${url}/health/ready`, coordinator);
    if (!existsSync(agentConfig)) {
      const offerings = guests === undefined ? LOCAL_OFFERINGS : PROXMOX_OFFERINGS;
      const token = await setUpDemoProvider(url, providerKey, offerings);
      await setUpAgent({ url, dataDir, agentConfig, token, program: programs.agent });
      if (guests !== undefined) useCluster(agentConfig, dataDir);
    }
    allowManyEnds(agentConfig);
    agent.start();
    await system.untilReady();
    for (const program of [coordinator, agent]) program.onRestart = options.onRestart ?? null;
    return system;
  } catch (error) {
    await system.stop();
    throw error;
  }
}

/** Registers the agent as people would: with `dc-agent setup token`. */
async function setUpAgent(setup: {
  url: string;
  dataDir: string;
  agentConfig: string;
  token: string;
  program: string;
}): Promise<void> {
  const { url, token } = setup;
  const child = spawn(
    process.execPath,
    [
      ...[setup.program, 'setup', 'token', '--coordinator', url, '--output', setup.agentConfig],
      ...[
        '--state-dir',
        join(setup.dataDir, 'agent', 'state'),
        '--key-dir',
        join(setup.dataDir, 'agent', 'keys'),
      ],
      ...['--provisioner', 'local', '--label', 'demo'],
    ],
    { cwd: ROOT, stdio: ['pipe', 'pipe', 'pipe'] },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin.end(`${token}\n`); // By standard input: other users can read a command line.
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new Error(`dc-agent setup token failed:\n${output}`);
}

/** Here rentals of minutes end one after another, which would look like a mass order to the agent's breaker. */
function allowManyEnds(agentConfig: string): void {
  const text = readFileSync(agentConfig, 'utf8');
  if (/^destructions_per_hour/m.test(text)) return;
  writeFileSync(agentConfig, text.replace('[limits]\n', '[limits]\ndestructions_per_hour = 1000000\n'));
}

function coordinatorToml(options: SystemOptions, url: string, dataDir: string): string {
  return `${TOML_HEAD} at every start.
environment = "demo"
public_url = "${url}"
data_dir = ${JSON.stringify(dataDir)}

[listen]
host = "127.0.0.1"
port = ${String(options.port)}

[metrics]
port = ${String(options.metricsPort ?? 0)}

[payments]
test = true

${options.coordinatorToml ?? DEMO_LIMITS}
`;
}

// One person plays all the parts here, from one address. A short lease, so that a killed agent is soon back at work.
const DEMO_LIMITS = `[agents]
lease_ttl_s = 15

[rate_limits]
per_key = 3000
per_address = 3000`;

function loadSeed(file: string): Uint8Array {
  if (!existsSync(file)) writeFileSync(file, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 });
  return seedFromHex(readFileSync(file, 'utf8'));
}

const untilAnswers = (url: string, program: ChildProgram): Promise<void> =>
  program.until(async () => (await fetch(url)).ok);

const untilRentable = (url: string, agent: ChildProgram): Promise<void> =>
  agent.until(async () => {
    const response = await fetch(`${url}/api/v1/offerings?in_stock=true`);
    return response.ok && ((await response.json()) as { items: WireOffering[] }).items.length > 0;
  });
