/** `npm run pve-sim`: a simulated Proxmox VE cluster on this machine, until it is stopped. README.md has the options. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { permissionTable } from './api/permission-table.ts';
import { HostCommandServer } from './cli-tools/host-command-server.ts';
import { openRootSession } from './cli-tools/open-root-session.ts';
import { LIFELIKE, QUICK } from './cluster/timing.ts';
import { parseFaultScript } from './faults/fault-script.ts';
import { chooseAccelerator } from './qemu/accelerator.ts';
import { ensureGuestImage } from './qemu/guest-image.ts';
import { whyNoQemu } from './qemu/qemu-needs.ts';
import { QemuGuests } from './qemu/qemu-guests.ts';
import { seededRandom } from './seeded-random.ts';
import { startPveSimulator, type PveSimulator } from './start-pve-simulator.ts';

const HELP = `npm run pve-sim -- [options]

  --port N             where the API listens (8006)
  --nodes N            how many nodes: pve1, pve2, … (1)
  --version V          7.4, 8.4 or 9.1 (8.4)
  --times T            quick or lifelike (lifelike)
  --faults FILE        a fault script
  --guests G           simulated or qemu: real virtual machines, which need root and some programs (simulated)
  --seed N             makes what is random repeatable
  --certificate FILE   where to write the certificate, for clients that want to pin it
  --guest-ssh-port N   the SSH port of every guest (2222)
    --tools DIR          puts pvesh, pvesm, qm and genisoimage there, as they are on the host, for this cluster
  --permissions        print which privilege each call needs, and end
  --template VMID      the number of the template on the first node; the next ones count on (9000)
`;

const IMAGE_CACHE = join(import.meta.dirname, '../../../.data/pve-sim');

const OPTIONS = {
  port: { type: 'string', default: '8006' },
  nodes: { type: 'string', default: '1' },
  version: { type: 'string', default: '8.4' },
  times: { type: 'string', default: 'lifelike' },
  certificate: { type: 'string' },
  faults: { type: 'string' },
  guests: { type: 'string', default: 'simulated' },
  seed: { type: 'string' },
  'guest-ssh-port': { type: 'string', default: '2222' },
  template: { type: 'string', default: '9000' },
  tools: { type: 'string' },
  permissions: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** Real machines, from an image that is built at the first time. */
async function qemuGuests(sshPort: number): Promise<QemuGuests> {
  const problem = whyNoQemu();
  if (problem !== null) throw new Error(problem);
  const { signal } = new AbortController();
  console.log('Preparing real machines: the first time an image is built, which takes some minutes.');
  const image = await ensureGuestImage(IMAGE_CACHE, systemClock, signal);
  const accelerator = await chooseAccelerator(image, systemClock, signal);
  console.log(`Machines run with ${accelerator.name}.`);
  const folder = await mkdtemp(join(tmpdir(), 'dc-qemu-'));
  return new QemuGuests({
    clock: systemClock,
    random: systemRandom,
    image,
    accelerator,
    init: 'quick',
    folder,
    sshPort,
  });
}

/** The host's own tools, for PATH. Answers what ends them. */
async function installTools(folder: string, simulator: PveSimulator): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true });
  const session = openRootSession(simulator, systemClock);
  const [node = ''] = simulator.control.cluster.nodes.keys();
  const tools = await HostCommandServer.start(resolve(folder), session, node);
  console.log(`tools        PATH=${resolve(folder)}:$PATH`);
  return async () => {
    await tools.close();
    await session.close();
  };
}

async function close(simulator: PveSimulator, closeTools: (() => Promise<void>) | null): Promise<void> {
  await closeTools?.();
  await simulator.close();
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const sshPort = Number(values['guest-ssh-port']);
  const simulator = await startPveSimulator({
    clock: systemClock,
    random: values.seed === undefined ? systemRandom : seededRandom(Number(values.seed)),
    version: values.version,
    nodes: Number(values.nodes),
    port: values.permissions ? 0 : Number(values.port),
    timing: values.times === 'quick' ? QUICK : LIFELIKE,
    ...(values.faults === undefined
      ? {}
      : { faults: parseFaultScript(JSON.parse(await readFile(values.faults, 'utf8'))) }),
    guestSshPort: sshPort,
    ...(values.guests === 'qemu' ? { guests: await qemuGuests(sshPort) } : {}),
  });
  const { cluster } = simulator.control;
  if (values.permissions) {
    console.log(permissionTable(simulator.routes, cluster.version.major));
    await simulator.close();
    return;
  }
  let vmid = Number(values.template);
  for (const node of cluster.nodes.keys()) {
    await simulator.control.addVm({ vmid, node, name: 'debian-12', template: true });
    vmid += 1;
  }
  if (values.certificate !== undefined) await writeFile(values.certificate, simulator.certPem);
  console.log(`Proxmox VE ${cluster.version.version} (simulated): ${[...cluster.nodes.keys()].join(', ')}`);
  console.log(`API          ${simulator.url}/api2/json`);
  console.log(`fingerprint  ${simulator.fingerprint}`);
  console.log(`token        ${simulator.rootToken}`);
  console.log(`template     ${values.template} on pve1, and so on`);
  const closeTools = values.tools === undefined ? null : await installTools(values.tools, simulator);
  const stop = (): void => void close(simulator, closeTools).then(() => process.exit(0));
  // Not once: what starts QEMU listens too, and ends the process where it finds itself the last to do so.
  process.on('SIGINT', stop).on('SIGTERM', stop);
}

const USAGE_ERROR = 2;

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(USAGE_ERROR);
});
