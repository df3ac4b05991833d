/**
 * What dc-agent and the coordinator add to Proxmox: from paid to the first command over SSH, beside the bare sequence of
 * the same API calls on the same simulator, alone and twenty at once; and the same with real machines.
 */
import { join } from 'node:path';
import { whyNoQemu } from '../../agent/src/pve-sim/qemu/qemu-needs.ts';
import { makeSshIdentity, type SshIdentity } from '../ssh-login.ts';
import { startSystem } from '../start-system.ts';
import type { ClusterGuests } from '../proxmox-demo.ts';
import { BareProxmox } from './bare-proxmox.ts';
import { freePort, type Bench, type BenchRun } from './bench.ts';
import { figure, median, type Figure } from './figure.ts';
import { Renter } from './renter.ts';
import { NO_RATE_LIMITS } from './without-limits.ts';

const ALONE = 3;
const AT_ONCE = 20;
/** Clone 2 s, start 1 s, guest agent 3 s: a twentieth of that is what we may add. */
const OVERHEAD_MAX = 1.05;
const REAL_MAX = 1.1;

export const proxmox: Bench = {
  name: 'proxmox',
  about:
    'paid → ssh on a simulated Proxmox VE beside the bare API calls, alone and twenty at once; on real machines',
  async run(run) {
    const simulated = await measure(run, 'simulated', [1, AT_ONCE]);
    const problem = whyNoQemu();
    if (problem !== null) run.progress(`no real machines: ${problem}`);
    return [...simulated, ...(problem === null ? await measure(run, 'qemu', [1]) : [])];
  },
};

async function measure(run: BenchRun, guests: ClusterGuests, sizes: readonly number[]): Promise<Figure[]> {
  run.progress(`starting the system with ${guests} machines`);
  const dataDir = join(run.folder(), 'data');
  const options = { port: await freePort(), dataDir, coordinatorToml: NO_RATE_LIMITS, proxmox: guests };
  const system = await startSystem(options);
  run.onEnd(() => system.stop());
  const identity = await makeSshIdentity();
  run.onEnd(() => identity.remove());
  const bare = new BareProxmox(dataDir);
  run.onEnd(() => bare.close());
  const renter = await Renter.arrive(system.url, identity);
  const most = guests === 'qemu' ? REAL_MAX : OVERHEAD_MAX;
  const figures: Figure[] = [];
  await rentAndMeasure(renter); // The first one loads what the others have loaded.
  for (const size of sizes) {
    const rounds = size === 1 ? ALONE : 2;
    const [ours, floors]: [number[], number[]] = [[], []];
    for (let round = 1; round <= rounds; round += 1) {
      run.progress(`${guests}, ${String(size)} at once, round ${String(round)} of ${String(rounds)}`);
      ours.push(...(await Promise.all(Array.from({ length: size }, () => rentAndMeasure(renter)))));
      floors.push(...(await bareAtOnce(bare, identity, size)));
    }
    const name = `${guests}: paid → ssh, ${size === 1 ? 'alone' : `${String(size)} at once`}, p50`;
    const floor = median(floors);
    figures.push(figure(name, 'ms', median(ours), { floor, target: { atMost: floor * most } }));
  }
  await system.stop();
  return figures;
}

/** Rents, logs in, and gives back. Answers the milliseconds from paid to the first command. */
async function rentAndMeasure(renter: Renter): Promise<number> {
  const begunAt = performance.now();
  const contract = await renter.rentUntilActive();
  await renter.logIn(contract);
  const tookMs = performance.now() - begunAt;
  await renter.cancelUntilReleased(contract);
  return tookMs;
}

async function bareAtOnce(bare: BareProxmox, identity: SshIdentity, size: number): Promise<number[]> {
  const rentals = await Promise.all(Array.from({ length: size }, () => bare.rent(identity)));
  await Promise.all(rentals.map(({ remove }) => remove()));
  return rentals.map(({ tookMs }) => tookMs);
}
