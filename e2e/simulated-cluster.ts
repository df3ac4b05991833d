/**
 * The Proxmox VE cluster of `npm start -- --proxmox`: a simulator as a program of its own, with a template, a pool, and
 * an API token that may do just what an agent needs. It writes how to reach it into its folder, and keeps nothing.
 *
 *   node e2e/simulated-cluster.ts FOLDER simulated|qemu
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../agent/src/lib/system-clock.ts';
import { systemRandom } from '../agent/src/lib/system-random.ts';
import { privilegeNeeds } from '../agent/src/provisioners/proxmox/privileges.ts';
import { LIFELIKE, QUICK } from '../agent/src/pve-sim/cluster/timing.ts';
import { chooseAccelerator } from '../agent/src/pve-sim/qemu/accelerator.ts';
import { ensureGuestImage } from '../agent/src/pve-sim/qemu/guest-image.ts';
import { QemuGuests } from '../agent/src/pve-sim/qemu/qemu-guests.ts';
import { whyNoQemu } from '../agent/src/pve-sim/qemu/qemu-needs.ts';
import { startPveSimulator } from '../agent/src/pve-sim/start-pve-simulator.ts';

/** Where images of real machines are kept, whatever the data folder is: they take minutes to build. */
const IMAGE_CACHE = join(import.meta.dirname, '..', '.data', 'pve-sim');
const TEMPLATE = 9000;
const POOL = 'dc-agent';
const VERSION = '9.1';
const SSH_PORT = 2222;
const MEMORY_OF_REAL_GUESTS_MB = 512;
const CLOSE_MS_MAX = 3_000;

const [folder = '', guests = 'simulated'] = process.argv.slice(2);
const ending = new AbortController();
// Not once: what starts QEMU listens too, and ends the process where it finds itself the last to do so.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => ending.abort());

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Real machines, from an image that is built at its first use. */
async function realGuests(): Promise<QemuGuests> {
  const problem = whyNoQemu();
  if (problem !== null) throw new Error(`There can be no real machines here: ${problem}`);
  say('Preparing real machines: the first time an image is built, which takes some minutes.');
  const image = await ensureGuestImage(IMAGE_CACHE, systemClock, ending.signal);
  const accelerator = await chooseAccelerator(image, systemClock, ending.signal);
  say(`The image is there; machines run with ${accelerator.name}.`);
  // Short, since sockets are in it; noted, so that the next start removes what a kill -9 left.
  const disks = mkdtempSync(join(tmpdir(), 'dc-qemu-'));
  writeFileSync(join(folder, 'disks'), disks);
  const [clock, random] = [systemClock, systemRandom];
  return new QemuGuests({
    clock,
    random,
    image,
    accelerator,
    init: 'quick',
    folder: disks,
    sshPort: SSH_PORT,
  });
}

/** What an earlier run could not take away any more. */
function removeOldDisks(): void {
  const note = join(folder, 'disks');
  try {
    const disks = readFileSync(note, 'utf8');
    if (disks.startsWith(join(tmpdir(), 'dc-qemu-'))) rmSync(disks, { recursive: true, force: true });
    rmSync(note);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // There was none.
  }
}

async function main(): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  removeOldDisks();
  const isReal = guests === 'qemu';
  const simulator = await startPveSimulator({
    clock: systemClock,
    random: systemRandom,
    version: VERSION,
    guestSshPort: SSH_PORT,
    // Real machines take their own time.
    timing: isReal ? QUICK : LIFELIKE,
    ...(isReal ? { guests: await realGuests() } : {}),
  });
  const { control } = simulator;
  const config = isReal ? { memory: String(MEMORY_OF_REAL_GUESTS_MB) } : {};
  await control.addVm({ vmid: TEMPLATE, name: 'debian-12', template: true, config });
  control.cluster.pools.set(POOL, { comment: 'rented out', storages: new Set() });
  const token = control.addToken('dc-agent@pve', 'agent');
  const needs = privilegeNeeds(control.cluster.version.major, {
    pool: POOL,
    templates: [`/vms/${TEMPLATE}`],
    storages: ['local-lvm'],
    bridges: ['vmbr0'],
  });
  for (const { path, privileges } of needs)
    for (const holder of ['dc-agent@pve', 'dc-agent@pve!agent']) control.allow(holder, path, privileges);
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, `${token}\n`, { mode: 0o600 });
  const options = {
    url: simulator.url,
    token_file: tokenFile,
    fingerprint: simulator.fingerprint,
    pool: POOL,
    vmid_first: 20_000,
    vmid_last: 20_999,
    ssh_port: SSH_PORT,
    guest_networks: ['127.64.0.0/10'],
    // Real machines take what this one has; the others only what they say.
    capacity: isReal ? { instances: 4 } : { cpu: 64 },
  };
  // Whole or not there: whoever waits for it reads it at once.
  writeFileSync(join(folder, 'options.json.new'), JSON.stringify(options));
  renameSync(join(folder, 'options.json.new'), join(folder, 'options.json'));
  say(`Proxmox VE ${VERSION} (simulated) answers at ${simulator.url}.`);
  ending.signal.addEventListener('abort', () => {
    const finish = (): void => {
      removeOldDisks();
      process.exit(0);
    };
    // A machine that was just being started may keep the simulator from closing; it goes when we go.
    setTimeout(finish, CLOSE_MS_MAX);
    void simulator.close().then(finish);
  });
}

try {
  await main();
} catch (error) {
  if (!ending.signal.aborted) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
