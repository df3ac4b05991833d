/** `npm start -- --proxmox`: starts the simulated cluster as a program of its own, and puts the agent on it. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ChildProgram } from './child-program.ts';
import type { DemoOffering } from './demo-provider.ts';

/** Machines in the simulator's own process, or real ones. */
export type ClusterGuests = 'simulated' | 'qemu';

const POLL_MS = 50;
/** The first real machine is built from packages that come over the network. */
const READY_TIMEOUT_MS = 10 * 60_000;

/** What is rented out of the cluster. Small, so that some real ones fit on a small machine. */
export const PROXMOX_OFFERINGS: readonly DemoOffering[] = [
  {
    title: 'Proxmox S',
    description: 'A virtual machine of a simulated Proxmox VE cluster.',
    size: { cpu: 1, memory_mb: 512, disk_gb: 5 },
    price: '0.010 USD',
    setupFee: '0 USD',
    places: 40,
    operatingSystem: 'debian-12',
  },
];

export interface ClusterStart {
  readonly dataDir: string;
  readonly guests: ClusterGuests;
  /** Told what the cluster says while it starts. */
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Starts it and waits until it can be used. Throws with the end of its log; then the program has ended. */
export async function startCluster({ dataDir, guests, onLine, signal }: ClusterStart): Promise<ChildProgram> {
  const folder = join(dataDir, 'proxmox');
  const program = new ChildProgram('proxmox', dataDir, ['e2e/simulated-cluster.ts', folder, guests]);
  rmSync(optionsFile(dataDir), { force: true });
  const toldBefore = program.log().length;
  let told = toldBefore;
  const tell = (): void => {
    const lines = program.log().slice(told).split('\n').slice(0, -1);
    for (const line of lines) {
      told += line.length + 1;
      onLine(line);
    }
  };
  program.start();
  try {
    await program.until(() => Promise.resolve(existsSync(optionsFile(dataDir))), {
      timeoutMs: READY_TIMEOUT_MS,
      pollMs: POLL_MS,
      signal,
      onPoll: tell,
    });
    return program;
  } catch (error) {
    await program.stop();
    throw error;
  }
}

/** Puts the driver for the cluster into an agent's configuration, which was set up with the `local` one. */
export function useCluster(agentConfig: string, dataDir: string): void {
  const options = JSON.parse(readFileSync(optionsFile(dataDir), 'utf8')) as Record<string, unknown>;
  const [general = ''] = readFileSync(agentConfig, 'utf8').split('[provisioner.local]');
  // What JSON has of texts, numbers and lists, TOML has too; its tables have no colons.
  const toToml = (value: unknown): string => JSON.stringify(value).replaceAll('":', '"=');
  const lines = Object.entries(options).map(([key, value]) => `${key} = ${toToml(value)}`);
  const text = general
    .replace('kind = "local"', 'kind = "proxmox"')
    // A contract waits for its guest to boot most of the time: more of them than the usual 8 keep a cluster busy.
    .replace(/^# parallel = .*$/m, 'parallel = 32');
  writeFileSync(agentConfig, `${text}[provisioner.proxmox]\n${lines.join('\n')}\n`);
}

/** Whether a data folder is one of a demonstration on the cluster, whose machines are gone when it ends. */
export const isClusterFolder = (dataDir: string): boolean => existsSync(resolve(dataDir, 'proxmox'));

const optionsFile = (dataDir: string): string => join(dataDir, 'proxmox', 'options.json');
