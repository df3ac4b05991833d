/**
 * Tries every privilege by using it, on a small VM that is made for that and carries a seal like any other: cloned,
 * configured, started for a moment, destroyed. Whatever happens in between, the VM goes: what is begun is waited for,
 * an interruption only skips what is left to try, and what a killed doctor left is removed by the next one.
 */
import { isAppError, AppError } from '@dc/shared/errors';
import { newUuid, toHex } from '@dc/shared/ids';
import { makeSeal, readSeal } from '@dc/shared/seal';
import { stagesFor } from '../made-stages.ts';
import type { CreateRequest } from '../provisioner.ts';
import { awaitTask } from './await-task.ts';
import { cloneVm, pause, type BuildParts } from './build-vm.ts';
import { ClaimStore, type Claim } from './claim-store.ts';
import type { DiagnosisParts, SeenTemplate } from './diagnosis-parts.ts';
import { readDenial, type Denial } from './missing-privileges.ts';
import { bootDiskOf } from './place-vm.ts';
import { proveAbsence } from './prove-absence.ts';
import { PveRefusal, type PveParameters } from './pve-client.ts';
import { pvePath } from './pve-path.ts';
import { StorageGovernor } from './storage-governor.ts';
import { saysNotThere } from './translate-refusal.ts';
import { readNotes } from './vm-notes.ts';

/** What a probe's seal has in the place of the environment: to an agent it is a foreign VM, which it leaves alone. */
export const PROBE_ENVIRONMENT = 'doctor-probe';
const HOSTNAME = 'dc-probe';
const TASK_TIMEOUT_MS = 5 * 60_000;
/** Older than any doctor that still runs. */
const LEFTOVER_MS = 30 * 60_000;
const LOCK_POLL_MS = 500;

/** Makes the probe VM from a template and takes it away again. Answers what was refused on the way. */
export async function probeByUse(parts: DiagnosisParts, template: SeenTemplate): Promise<Denial[]> {
  const store = ClaimStore.open(parts.stateDir, parts.clock);
  try {
    const request = requestFor(parts, template);
    const claim = claimProbe(parts, store, { request, node: template.vm.node });
    const denials = new DenialList(claim.vmid, poolPathOf(parts));
    let isThere = false;
    try {
      isThere = await denials.unlessDenied(() => makeProbe(parts, store, { claim, request, template }));
      if (isThere) await useProbe(parts, claim, denials);
    } finally {
      await removeProbe(parts, { vmid: claim.vmid, node: claim.node, seal: request.seal }, denials);
      store.free(claim.vmid);
    }
    return denials.all;
  } finally {
    store.close();
  }
}

/** VMs that a doctor made and could not take away any more. Answers how many it removed now. */
export async function removeLeftovers(parts: DiagnosisParts): Promise<number> {
  const { cluster, settings, seen, clock, sealSecret, signal } = parts;
  const { first, last } = settings.vmids;
  const named = (seen.resources?.vms ?? []).filter(
    ({ vmid, name }) => vmid >= first && vmid <= last && name === HOSTNAME,
  );
  let removed = 0;
  for (const { vmid, node } of named) {
    const notes = readNotes((await cluster.config(node, vmid, signal))['description']);
    const seal = notes === null ? null : readSeal(sealSecret, notes.seal);
    if (notes === null || seal?.environment !== PROBE_ENVIRONMENT) continue;
    if (clock.now() - timeOf(seal.contractId) < LEFTOVER_MS) continue; // Another doctor is at work.
    await removeProbe(parts, { vmid, node, seal: notes.seal }, new DenialList(vmid, poolPathOf(parts)));
    removed += 1;
  }
  return removed;
}

export const poolPathOf = ({ settings }: DiagnosisParts): string =>
  settings.pool === null ? '/vms' : `/pool/${settings.pool}`;

/** When a UUIDv7 was made. */
const timeOf = (uuid: string): number => Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16);

/** What was refused, in the words of what has to be granted. */
class DenialList {
  readonly all: Denial[] = [];
  readonly #vmPath: string;
  readonly #poolPath: string;

  constructor(vmid: number, poolPath: string) {
    this.#vmPath = `/vms/${vmid}`;
    this.#poolPath = poolPath;
  }

  /** Does something; false where a privilege is missing for it. Other failures are thrown. */
  async unlessDenied(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      const denial = error instanceof PveRefusal && error.status === 403 ? readDenial(error.message) : null;
      if (denial === null) throw error;
      const path = denial.path === this.#vmPath ? this.#poolPath : denial.path;
      this.all.push({ ...denial, path: path.startsWith('/nodes') ? '/' : path });
      return false;
    }
  }
}

/** The highest free VMID: agents begin with the lowest. */
function claimProbe(
  { settings, seen }: DiagnosisParts,
  store: ClaimStore,
  { request, node }: { request: CreateRequest; node: string },
): Claim {
  const { contractId, token } = request;
  const { first, last } = settings.vmids;
  for (let vmid = last; vmid >= first; vmid--) {
    if (seen.resources?.takenVmids.has(vmid) === true) continue;
    const claim: Claim = {
      vmid,
      contractId,
      token,
      node,
      upid: null,
      phase: 'cloning',
      access: null,
      address: null,
    };
    store.insert(claim);
    return claim;
  }
  throw new AppError('PROVISIONER_EXHAUSTED', `No VMID from ${first} to ${last} is free.`);
}

function requestFor(
  { clock, random, sealSecret }: DiagnosisParts,
  { vm, config }: SeenTemplate,
): CreateRequest {
  const contractId = newUuid(clock, random);
  return {
    contractId,
    seal: makeSeal(sealSecret, { contractId, environment: PROBE_ENVIRONMENT }),
    token: `probe-${toHex(random.bytes(8))}`,
    spec: {
      cpu: 1,
      memoryMb: Number(config['memory'] ?? 512),
      diskGb: Math.ceil(bootDiskOf(config)?.sizeGb ?? 1),
      operatingSystem: vm.name ?? '',
      sshPublicKey: '', // Nobody is to log in.
      hostname: HOSTNAME,
    },
  };
}

/** Clones. Not to be interrupted: a clone that was begun has to be known to be taken away. */
async function makeProbe(
  parts: DiagnosisParts,
  store: ClaimStore,
  wish: { claim: Claim; request: CreateRequest; template: SeenTemplate },
): Promise<void> {
  const { cluster, settings, clock } = parts;
  const governor = new StorageGovernor();
  const managementKey = ''; // Nobody is to log in.
  const build: BuildParts = {
    cluster,
    store,
    settings,
    clock,
    governor,
    managementKey,
    runStage: stagesFor(clock, () => undefined),
  };
  const placement = { template: wish.template.vm, node: wish.template.vm.node };
  const { claim, request } = wish;
  const outcome = await cloneVm(build, { claim, placement, request }, uninterrupted());
  if (outcome === 'taken')
    throw new AppError('PROVISIONER_UNAVAILABLE', `Somebody else took the VMID ${claim.vmid} meanwhile.`);
}

/** Each call that a life of a VM has, by itself, so that each refusal is seen. */
async function useProbe(parts: DiagnosisParts, { vmid, node }: Claim, denials: DenialList): Promise<void> {
  const { cluster, settings, signal } = parts;
  const vm = pvePath`/nodes/${node}/qemu/${vmid}`;
  const task = async (method: 'POST' | 'PUT', path: ReturnType<typeof pvePath>, values: PveParameters) => {
    const answer = await cluster.client.call(method, path, values, uninterrupted());
    if (typeof answer === 'string' && answer.startsWith('UPID:')) await finish(parts, answer);
  };
  const set = (values: PveParameters) => () =>
    task('PUT', pvePath`/nodes/${node}/qemu/${vmid}/config`, values);
  let net0 = '';
  let disk = 'scsi0';
  const uses: (() => Promise<unknown>)[] = [
    async () => {
      const config = await cluster.config(node, vmid, uninterrupted());
      [net0, disk] = [config['net0'] ?? '', bootDiskOf(config)?.key ?? disk];
    },
    set({ cores: 1 }),
    set({ memory: 512 }),
    set({ agent: '1', onboot: 0 }),
    set({ ciuser: settings.user, ipconfig0: 'ip=dhcp' }),
    async () => {
      const { bridge } = settings;
      if (bridge !== null && net0 !== '')
        await set({ net0: net0.replace(/bridge=[^,]+/, `bridge=${bridge}`) })();
    },
    () => task('PUT', pvePath`/nodes/${node}/qemu/${vmid}/resize`, { disk, size: '+1G' }),
    () => task('POST', pvePath`/nodes/${node}/qemu/${vmid}/status/start`, {}),
    () => askAgent(parts, vm),
  ];
  for (const use of uses) {
    if (signal.aborted) return;
    await denials.unlessDenied(use);
  }
}

/** Whether the guest agent answers yet does not matter: what counts is that we may ask it. */
async function askAgent({ cluster, seen }: DiagnosisParts, vm: string): Promise<void> {
  const argv = ['true'];
  const path = `${vm}/agent/exec` as ReturnType<typeof pvePath>;
  try {
    const command = (seen.major ?? 8) < 8 ? argv.join('\0') : argv;
    await cluster.client.call('POST', path, { command }, uninterrupted());
  } catch (error) {
    if (!(error instanceof PveRefusal) || error.status === 403) throw error;
  }
}

/** Takes the VM away where it is there and has the probe's seal. Throws, with the command, where it stays. */
async function removeProbe(
  parts: DiagnosisParts,
  { vmid, node, seal }: { vmid: number; node: string; seal: string },
  denials: DenialList,
): Promise<void> {
  const { cluster, clock } = parts;
  const signal = uninterrupted();
  const client = cluster.client;
  try {
    for (;;) {
      const config = await cluster.config(node, vmid, signal).catch((error: unknown) => {
        // Not there, or not ours to see, as without VM.Audit: then its removal says which.
        if (saysNotThere(error) || (error instanceof PveRefusal && error.status === 403)) return null;
        throw error;
      });
      if (config !== null && readNotes(config['description'])?.seal !== seal) return; // Somebody else's.
      if (config?.['lock'] === undefined) break;
      await pause(clock, LOCK_POLL_MS, signal);
    }
    const proof = await proveAbsence(cluster, vmid, signal);
    if (proof.existence === 'absent') return;
    await denials.unlessDenied(async () => {
      const path = pvePath`/nodes/${node}/qemu/${vmid}/status/stop`;
      await finish(parts, String(await client.call('POST', path, {}, signal)));
    });
    const upid = await client.call('DELETE', pvePath`/nodes/${node}/qemu/${vmid}`, { purge: true }, signal);
    await finish(parts, String(upid));
  } catch (error) {
    // A VM without a trace of ours is nobody's to remove: the clone was refused before it began.
    if (saysNotThere(error) || (denials.all.length > 0 && isDenied(error))) return;
    throw new AppError('PROVISIONER_FAILED', `The probe VM ${vmid} could not be taken away again.`, {
      remedy: `Remove it by hand, on ${node}: qm stop ${vmid}; qm destroy ${vmid} --purge.`,
      cause: error,
    });
  }
}

const isDenied = (error: unknown): boolean =>
  (error instanceof PveRefusal && error.status === 403) || isAppError(error, 'PERMISSION_DENIED');

async function finish({ cluster, clock }: DiagnosisParts, upid: string): Promise<void> {
  await awaitTask(upid, {
    client: cluster.client,
    clock,
    signal: uninterrupted(),
    timeoutMs: TASK_TIMEOUT_MS,
  });
}

/** Calls have their own deadlines; what is begun is brought to its end. */
const uninterrupted = (): AbortSignal => new AbortController().signal;
