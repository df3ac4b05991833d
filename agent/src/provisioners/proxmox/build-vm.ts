/**
 * Makes a VM out of a template: clone, configure, read back, resize, start. Each step finds out what an interrupted
 * one before has left, so that all of them can be done again.
 */
import { sleep, type Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import type { RunStage, Warn } from '../made-stages.ts';
import type { CreateRequest } from '../provisioner.ts';
import { awaitTask } from './await-task.ts';
import type { Claim, ClaimStore } from './claim-store.ts';
import { bootDiskOf, checkTemplate, hasCloudInitDrive, type Placement } from './place-vm.ts';
import { PveRefusal } from './pve-client.ts';
import type { PveCluster, VmConfig } from './pve-cluster.ts';
import { pvePath } from './pve-path.ts';
import type { ProxmoxSettings } from './proxmox-options.ts';
import { sealTag } from './seal-tag.ts';
import type { StorageGovernor } from './storage-governor.ts';
import { saysBusy, saysTaken, translateRefusal } from './translate-refusal.ts';
import { writeNotes } from './vm-notes.ts';

const CLONE_TIMEOUT_MS = 30 * 60_000;
const TASK_TIMEOUT_MS = 5 * 60_000;
/** Right after a clone, storages on a network do not know the new disk for a moment. */
const RESIZE_TRIES = 5;
const RESIZE_PAUSE_MS = 1_000;
/** A start or a stop whose answer was lost has shown its effect by then. */
const LOST_ANSWER_MS = 30_000;

export interface BuildParts {
  readonly cluster: PveCluster;
  readonly store: ClaimStore;
  readonly governor: StorageGovernor;
  readonly settings: ProxmoxSettings;
  readonly clock: Clock;
  readonly runStage: RunStage;
  /** The line in authorized_keys that is ours. */
  readonly managementKey: string;
}

/** What became of a claimed VMID: ours, or somebody was there before. */
export type CloneOutcome = 'ours' | 'taken';

/**
 * Clones the template to the claimed VMID. `newid` in the call is what claims it at the cluster; the seal goes with the
 * call. Answers `taken` where the VMID was somebody's before; throws what Proxmox failed with, untranslated.
 */
export async function cloneVm(
  { cluster, store, governor, settings, clock, runStage }: BuildParts,
  { claim, placement, request }: { claim: Claim; placement: Placement; request: CreateRequest },
  signal: AbortSignal,
): Promise<CloneOutcome> {
  const { template, node } = placement;
  const [config, isLinked] = await Promise.all([
    cluster.config(template.node, template.vmid, signal),
    settings.fullOnly ? false : cluster.canLink(template, signal),
  ]);
  const disk = checkTemplate(config, request.spec);
  const { contractId, seal, token } = request;
  const parameters = {
    newid: claim.vmid,
    name: request.spec.hostname,
    description: writeNotes({ seal, contractId, token }),
    full: !isLinked,
    ...(settings.pool === null ? {} : { pool: settings.pool }),
    ...(isLinked || settings.storage === null ? {} : { storage: settings.storage }),
    ...(node === template.node ? {} : { target: node }),
  };
  const storage = isLinked ? disk.storage : (settings.storage ?? disk.storage);
  const path = pvePath`/nodes/${template.node}/qemu/${template.vmid}/clone`;
  const work = async (warn: Warn): Promise<CloneOutcome> => {
    let upid: string;
    try {
      upid = String(await cluster.client.call('POST', path, parameters, signal));
    } catch (error) {
      if (saysTaken(error)) return 'taken';
      throw error;
    }
    store.noteTask(claim.vmid, upid);
    const wait = { client: cluster.client, clock, signal, timeoutMs: CLONE_TIMEOUT_MS };
    warn((await awaitTask(upid, wait)).warnings);
    return 'ours';
  };
  return runStage(isLinked ? 'linked_clone' : 'full_clone', (warn) =>
    governor.run(storage, signal, { work: () => work(warn), isBusy: saysBusy }),
  );
}

/** Writes what was ordered into the configuration (which is `before`), and answers what it is then. The VM must be ours and off. */
export async function configureVm(
  { cluster, settings, managementKey }: BuildParts,
  { claim, request, before }: { claim: Claim; request: CreateRequest; before: VmConfig },
  signal: AbortSignal,
): Promise<VmConfig> {
  const { node, vmid } = claim;
  const wanted = settingsFor({ request, before, address: claim.address, managementKey }, settings);
  await cluster.client.call('PUT', pvePath`/nodes/${node}/qemu/${vmid}/config`, wanted, signal);
  const after = await cluster.config(node, vmid, signal);
  const different = Object.entries(wanted).filter(([key, value]) => !isSame(key, after[key], value));
  if (different.length > 0)
    throw new AppError(
      'PROVISIONER_FAILED',
      `Proxmox did not keep what was set: ${different.map(([key]) => key).join(', ')}.`,
    );
  if (!hasCloudInitDrive(after))
    throw new AppError('PROVISIONER_FAILED', 'The clone has no cloud-init drive.', {
      remedy: 'Look at the template: qm config VMID must show a cloudinit volume.',
    });
  return after;
}

function settingsFor(
  {
    request: { seal, spec },
    before,
    address,
    managementKey,
  }: { request: CreateRequest; before: VmConfig; address: string | null; managementKey: string },
  { user, bridge, addresses }: ProxmoxSettings,
): Record<string, string> {
  const tag = sealTag(seal);
  const net0 = before['net0'] ?? '';
  return {
    cores: String(spec.cpu),
    sockets: '1',
    memory: String(spec.memoryMb),
    agent: '1',
    onboot: '1',
    ciuser: user,
    // Proxmox wants the keys escaped once more inside of the form.
    sshkeys: encodeURIComponent(`${parseSshPublicKey(spec.sshPublicKey).line}\n${managementKey}\n`),
    ipconfig0:
      address === null || addresses === null
        ? 'ip=dhcp'
        : `ip=${address}/${addresses.bits},gw=${addresses.gateway}`,
    ...(bridge === null ? {} : { net0: net0.replace(/bridge=[^,]+/, `bridge=${bridge}`) }),
    ...(tag === null ? {} : { tags: tag }),
  };
}

function isSame(key: string, found: string | undefined, wanted: string): boolean {
  if (found === undefined) return false;
  if (key === 'sshkeys') return decodeURIComponent(found).trim() === decodeURIComponent(wanted).trim();
  if (key === 'net0') return found.toLowerCase() === wanted.toLowerCase();
  return found === wanted;
}

/** Makes the boot disk as large as was ordered. Only this is tried again: the clone is a good one. */
export async function resizeDisk(
  { cluster, clock }: BuildParts,
  { claim, diskGb, before }: { claim: Claim; diskGb: number; before: VmConfig },
  signal: AbortSignal,
): Promise<void> {
  const { node, vmid } = claim;
  for (let attempt = 1; ; attempt++) {
    const disk = bootDiskOf(attempt === 1 ? before : await cluster.config(node, vmid, signal));
    if (disk === null) throw new AppError('PROVISIONER_FAILED', 'The clone has no boot disk.');
    if (disk.sizeGb >= diskGb) return;
    try {
      const path = pvePath`/nodes/${node}/qemu/${vmid}/resize`;
      const answer = await cluster.client.call('PUT', path, { disk: disk.key, size: `${diskGb}G` }, signal);
      // A task from version 8 on.
      if (typeof answer === 'string' && answer.startsWith('UPID:'))
        await awaitTask(answer, { client: cluster.client, clock, signal, timeoutMs: TASK_TIMEOUT_MS });
    } catch (error) {
      if (attempt >= RESIZE_TRIES || !mayPass(error)) throw error;
      await pause(clock, RESIZE_PAUSE_MS * attempt, signal);
    }
  }
}

const mayPass = (error: unknown): boolean =>
  saysBusy(error) ||
  (error instanceof Error && /does not exist|timeout/.test(error.message)) ||
  (error instanceof PveRefusal && error.status >= 501);

/** What a VM is to do. */
export interface PowerSwitch {
  readonly node: string;
  readonly vmid: number;
  readonly verb: 'start' | 'stop' | 'shutdown';
  readonly warn?: Warn;
}

/** Starts or stops a VM and waits for it. What counts is what the VM does then, not what the task says. */
export async function switchPower(
  { cluster, clock }: Pick<BuildParts, 'cluster' | 'clock'>,
  { node, vmid, verb, warn }: PowerSwitch,
  signal: AbortSignal,
): Promise<void> {
  const wanted = verb === 'start' ? 'running' : 'stopped';
  if ((await cluster.power(node, vmid, signal)) === wanted) return;
  const parameters = verb === 'shutdown' ? { timeout: 60, forceStop: true } : {};
  let failure: unknown;
  try {
    const path = pvePath`/nodes/${node}/qemu/${vmid}/status/${verb}`;
    const upid = String(await cluster.client.call('POST', path, parameters, signal));
    const wait = { client: cluster.client, clock, signal, timeoutMs: TASK_TIMEOUT_MS };
    const { warnings } = await awaitTask(upid, wait);
    warn?.(warnings);
  } catch (error) {
    if (signal.aborted) throw error;
    failure = error; // Thrown below, unless the VM does what was wanted all the same.
  }
  if (
    await becomes(
      { cluster, clock },
      { node, vmid, wanted, waitMs: isLost(failure) ? LOST_ANSWER_MS : 0 },
      signal,
    )
  )
    return;
  throw failure === undefined
    ? new AppError('PROVISIONER_FAILED', `The VM is not ${wanted} although its task has ended well.`)
    : translateRefusal(failure);
}

/** No answer of the node itself: what was asked for may be under way. */
const isLost = (failure: unknown): boolean =>
  isAppError(failure, 'PROVISIONER_UNAVAILABLE') || (failure instanceof PveRefusal && failure.status >= 595);

async function becomes(
  { cluster, clock }: Pick<BuildParts, 'cluster' | 'clock'>,
  { node, vmid, wanted, waitMs }: { node: string; vmid: number; wanted: string; waitMs: number },
  signal: AbortSignal,
): Promise<boolean> {
  const begun = clock.monotonic();
  for (;;) {
    if ((await cluster.power(node, vmid, signal)) === wanted) return true;
    if (clock.monotonic() - begun >= waitMs) return false;
    await pause(clock, 250, signal);
  }
}

export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await sleep(clock, ms, signal).catch(() => {
    throw new AppError('SAGA_ABORTED', undefined, { cause: signal.reason });
  });
}
