/**
 * Makes the instance of a contract, or goes on with one that was begun. What was begun is known from the claim in the
 * store and, above all, from the seal on the VM itself: a VM without it is never taken up (I4, I6).
 */
import { AppError } from '@dc/shared/errors';
import { assertSealed } from '../check-seal.ts';
import type { CreateRequest, Instance } from '../provisioner.ts';
import { awaitGuest, macOf, type GuestWait } from './await-guest.ts';
import { awaitTask, PveTaskFailure } from './await-task.ts';
import { cloneVm, configureVm, pause, resizeDisk, switchPower, type BuildParts } from './build-vm.ts';
import type { Claim, GuestAccess, Taken } from './claim-store.ts';
import { isOnSharedStorage, placesFor } from './place-vm.ts';
import { PveRefusal } from './pve-client.ts';
import type { PveResources, PveVm, VmConfig } from './pve-cluster.ts';
import { saysBusy } from './translate-refusal.ts';
import { orUnavailable, type FoundVm, type VmFinder } from './vm-finder.ts';

const CLONE_TRIES = 8;
const BUSY_PAUSE_MS = 2_000;
const CLONE_TIMEOUT_MS = 30 * 60_000;
const LOCK_POLL_MS = 500;

export interface MakeParts extends Omit<BuildParts, 'runStage'> {
  readonly finder: VmFinder;
  readonly sealSecret: Uint8Array;
  /** How guests are waited for, but for the signal. */
  readonly guestWait: Omit<GuestWait, 'signal' | 'assertOwn' | 'address'>;
}

/** The parts of one making. */
export type MakingParts = MakeParts & Pick<BuildParts, 'runStage'>;

/** Answers the instance of the contract, making it where there is none. Errors of Proxmox come as they are. */
export async function makeInstance(
  parts: MakingParts,
  request: CreateRequest,
  signal: AbortSignal,
): Promise<Instance> {
  const { store, finder } = parts;
  const { resources, instances, problems } = await finder.survey(signal);
  const { contractId, token } = request;
  const isOthers = (each: { token: string | null; contractId: string | null }): boolean =>
    each.token === token && each.contractId !== contractId;
  if ([...instances, ...store.all()].some(isOthers)) throw new AppError('PROVISIONER_FOREIGN');
  const existing = instances.find((each) => each.contractId === contractId);
  if (existing === undefined && problems.length > 0)
    throw new AppError(
      'PROVISIONER_UNAVAILABLE',
      `It cannot be told whether the contract has a VM already: ${problems[0] ?? ''}.`,
    );
  const claim =
    existing === undefined
      ? await begin(parts, { request, resources }, signal)
      : await takeUp(parts, { vmid: Number(existing.handle['vmid']), request }, signal);
  return claim.phase === 'ready' && claim.access !== null
    ? describe(parts, claim.vmid, signal)
    : finish(parts, { claim, request }, signal);
}

/** Goes on with a VM that is there. Waits for its clone to end, and touches it only with the right seal. */
async function takeUp(
  parts: MakingParts,
  { vmid, request }: { vmid: number; request: CreateRequest },
  signal: AbortSignal,
): Promise<Claim> {
  const { store, sealSecret, clock, cluster } = parts;
  const claim = store.ofVmid(vmid);
  if (claim?.upid != null && claim.phase === 'cloning')
    await awaitTask(claim.upid, { client: cluster.client, clock, signal, timeoutMs: CLONE_TIMEOUT_MS }).catch(
      (error: unknown) => {
        // Whether the clone was a good one is seen from the VM below: unlocked, and with its seal.
        if (!(error instanceof PveTaskFailure) && !(error instanceof PveRefusal)) throw error;
      },
    );
  const found = await whenUnlocked(parts, vmid, signal);
  const { contractId } = request;
  if (found.notes === null && claim?.phase === 'cloning' && claim.upid === null) {
    store.free(vmid);
    throw new AppError(
      'PROVISIONER_UNAVAILABLE',
      `Somebody else cloned to the VMID ${vmid}; the next attempt takes another.`,
    );
  }
  assertSealed(found.notes ?? { seal: null, contractId }, request.seal, sealSecret);
  if (claim?.contractId === contractId) return { ...claim, node: found.node };
  if (claim !== null) store.free(vmid);
  const old = store.ofContract(contractId);
  if (old !== null) store.free(old.vmid);
  const isSetUp = found.config['sshkeys'] !== undefined && found.config['tags'] !== undefined;
  const taken: Claim = {
    vmid,
    contractId,
    token: found.notes?.token ?? request.token,
    node: found.node,
    upid: null,
    phase: isSetUp ? 'ready' : 'cloning',
    access: null,
    address: staticAddressOf(found.config),
  };
  store.insert(taken);
  return taken;
}

/** The VM once no task holds it. Throws PROVISIONER_UNAVAILABLE where that takes too long, or it is not there. */
async function whenUnlocked(parts: MakingParts, vmid: number, signal: AbortSignal): Promise<FoundVm> {
  const { finder, clock } = parts;
  const begun = clock.monotonic();
  for (;;) {
    const found = orUnavailable(await finder.find(vmid, signal));
    if (found.existence === 'absent')
      throw new AppError(
        'PROVISIONER_UNAVAILABLE',
        'The VM that was begun is gone; the next attempt makes another.',
      );
    const lock = found.config['lock'];
    if (lock === undefined) return found;
    if (clock.monotonic() - begun > CLONE_TIMEOUT_MS || (lock !== 'clone' && lock !== 'create'))
      throw new AppError('PROVISIONER_UNAVAILABLE', `The VM ${vmid} is locked (${lock}).`, {
        remedy: `If no task works on it any more: qm unlock ${vmid}, on ${found.node}.`,
      });
    await pause(clock, LOCK_POLL_MS, signal);
  }
}

interface Beginning {
  readonly request: CreateRequest;
  readonly resources: PveResources;
}

/** Clones a VM for the contract, which has none. A claim whose clone was never answered is tried again as it is. */
async function begin(parts: MakingParts, wish: Beginning, signal: AbortSignal): Promise<Claim> {
  const { clock } = parts;
  for (let attempt = 1; ; attempt++) {
    const earlier = await settledClaim(parts, wish.request, signal);
    if (earlier?.upid != null) return earlier;
    try {
      const claim = await tryClone(parts, wish, { earlier, attempt }, signal);
      if (claim !== null) return claim;
      if (attempt >= CLONE_TRIES)
        throw new AppError('PROVISIONER_UNAVAILABLE', 'Every VMID that was tried was somebody else’s.');
    } catch (error) {
      if (attempt >= CLONE_TRIES || !saysBusy(error)) throw error;
      await pause(clock, BUSY_PAUSE_MS, signal);
    }
  }
}

/** The claim of an earlier attempt: with a task where its VM is there, without one where it may be tried again. */
async function settledClaim(
  parts: MakingParts,
  request: CreateRequest,
  signal: AbortSignal,
): Promise<Claim | null> {
  const { store, finder, cluster, clock } = parts;
  const claim = store.ofContract(request.contractId);
  if (claim?.upid == null) return claim;
  await awaitTask(claim.upid, { client: cluster.client, clock, signal, timeoutMs: CLONE_TIMEOUT_MS }).catch(
    (error: unknown) => {
      // Either way what counts is whether the VM is there.
      if (!(error instanceof PveTaskFailure) && !(error instanceof PveRefusal)) throw error;
    },
  );
  const found = orUnavailable(await finder.find(claim.vmid, signal));
  if (found.existence === 'present') return takeUp(parts, { vmid: claim.vmid, request }, signal);
  store.free(claim.vmid);
  return null;
}

/** One clone. Null where the VMID was somebody else's. */
async function tryClone(
  parts: MakingParts,
  { request, resources }: Beginning,
  { earlier, attempt }: { earlier: Claim | null; attempt: number },
  signal: AbortSignal,
): Promise<Claim | null> {
  const { store, settings } = parts;
  const shared = await sharedTemplates(parts, { request, resources }, signal);
  const places = placesFor(request.spec, resources, settings, shared);
  const placement = places[(attempt - 1) % places.length];
  if (placement === undefined) throw new AppError('PROVISIONER_EXHAUSTED');
  const { contractId, token } = request;
  const claim =
    earlier ??
    store.claimNext(
      settings,
      { contractId, token, node: placement.node },
      await takenBy(parts, resources, signal),
    );
  let outcome: 'ours' | 'taken';
  try {
    outcome = await cloneVm(parts, { claim, placement, request }, signal);
  } catch (error) {
    if (isSureThatNothingIsThere(error)) store.free(claim.vmid);
    throw error;
  }
  if (outcome === 'ours') {
    store.noteNode(claim.vmid, placement.node);
    return store.ofVmid(claim.vmid);
  }
  return whoseIsIt(parts, { claim, request, isRetry: earlier !== null }, signal);
}

/** The templates of the operating system that every node can clone. Not asked for where no storage is shared. */
async function sharedTemplates(
  { cluster, settings }: MakingParts,
  { request, resources }: Beginning,
  signal: AbortSignal,
): Promise<ReadonlySet<number>> {
  const shared = new Set<number>();
  if (resources.nodes.length < 2 || !resources.storages.some((each) => each.shared === 1)) return shared;
  const name = settings.templateOf(request.spec.operatingSystem);
  const online = new Set(resources.nodes.flatMap(({ node, status }) => (status === 'online' ? node : [])));
  for (const template of resources.templates) {
    if (template.name !== name || !online.has(template.node)) continue;
    const config = await cluster.config(template.node, template.vmid, signal);
    if (isOnSharedStorage(config, resources)) shared.add(template.vmid);
  }
  return shared;
}

/** What others have. Addresses of VMs in our range that the store does not know (it was lost) are read from them. */
async function takenBy(
  { store, settings, cluster }: MakingParts,
  { vms, takenVmids }: PveResources,
  signal: AbortSignal,
): Promise<Taken> {
  const addresses = new Set<string | null>();
  const { first, last } = settings.vmids;
  const isUnknown = ({ vmid }: PveVm): boolean =>
    vmid >= first && vmid <= last && store.ofVmid(vmid) === null;
  for (const { node, vmid } of settings.addresses === null ? [] : vms.filter(isUnknown))
    addresses.add(staticAddressOf(await cluster.config(node, vmid, signal)));
  return { vmid: (vmid) => takenVmids.has(vmid), address: (address) => addresses.has(address) };
}

/** The VMID was taken: by our own call whose answer was lost, or by somebody. Only the seal tells. */
async function whoseIsIt(
  parts: MakingParts,
  { claim, request, isRetry }: { claim: Claim; request: CreateRequest; isRetry: boolean },
  signal: AbortSignal,
): Promise<Claim | null> {
  const { store, finder } = parts;
  const found = await finder.find(claim.vmid, signal);
  const mayBeOurs =
    found.existence === 'present' && (found.notes?.seal === request.seal || found.config['lock'] === 'clone');
  if (isRetry && mayBeOurs) {
    try {
      return await takeUp(parts, { vmid: claim.vmid, request }, signal);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PROVISIONER_FOREIGN') throw error;
    }
  }
  if (isRetry && found.existence === 'unknown') orUnavailable(found);
  store.free(claim.vmid);
  return null;
}

/** Proxmox refused the call itself, or undid the clone: the VMID may be given back. Lost answers are not that. */
const isSureThatNothingIsThere = (error: unknown): boolean =>
  error instanceof PveTaskFailure ||
  (error instanceof PveRefusal && error.status < 595) ||
  (error instanceof AppError &&
    (error.code === 'PROVISIONER_SPEC_UNSUPPORTED' || error.code === 'PROVISIONER_EXHAUSTED'));

/** Configures, resizes and starts what was cloned, and waits until it can be logged in to. */
async function finish(
  parts: MakingParts,
  { claim, request }: { claim: Claim; request: CreateRequest },
  signal: AbortSignal,
): Promise<Instance> {
  const { sealSecret, cluster, runStage } = parts;
  const { vmid } = claim;
  const found = await whenUnlocked(parts, vmid, signal);
  assertSealed(found.notes ?? { seal: null, contractId: null }, request.seal, sealSecret);
  const now = { ...claim, node: found.node };
  if (claim.phase === 'cloning' && (await cluster.power(now.node, vmid, signal)) === 'stopped') {
    await runStage('configure', async () => {
      const before = await configureVm(parts, { claim: now, request, before: found.config }, signal);
      await resizeDisk(parts, { claim: now, diskGb: request.spec.diskGb, before }, signal);
    });
    await runStage('start', (warn) =>
      switchPower(parts, { node: now.node, vmid, verb: 'start', warn }, signal),
    );
  }
  await runStage('first_login', () => awaitLogin(parts, now, signal));
  return describe(parts, vmid, signal);
}

/** Waits for the guest and remembers how it is reached. Throws where another guest of ours has what must be its own. */
export async function awaitLogin(
  { store, cluster, guestWait }: MakeParts,
  { vmid, node, address, access: before }: Claim,
  signal: AbortSignal,
): Promise<void> {
  const mac = macOf((await cluster.config(node, vmid, signal))['net0']);
  if (mac === null) throw new AppError('PROVISIONER_FAILED', 'The VM has no network card net0.');
  const others = store.all().filter((each) => each.vmid !== vmid);
  const assertOwn = (seen: Pick<GuestAccess, 'machineId'> & { hostKey: string | null }): void => {
    for (const other of others) {
      const shared = sharedWith(seen, other.access);
      if (shared === null) continue;
      throw new AppError('PROVISIONER_FAILED', `The VMs ${vmid} and ${other.vmid} share ${shared}.`, {
        remedy:
          'Empty /etc/machine-id and remove /etc/ssh/ssh_host_* in the template: dc-agent setup proxmox builds it so.',
      });
    }
  };
  const access = await awaitGuest({ node, vmid }, mac, { ...guestWait, signal, assertOwn, address });
  assertOwn(access);
  if (before !== null && before.hostKey !== access.hostKey)
    throw new AppError('PROVISIONER_FAILED', `The VM ${vmid} shows another SSH host key than before.`, {
      remedy: 'If the renter changed it, that is their right; nothing was done to the VM.',
    });
  store.noteReady(vmid, access);
}

function sharedWith(
  access: Pick<GuestAccess, 'machineId'> & { hostKey: string | null },
  other: GuestAccess | null,
): string | null {
  if (other === null) return null;
  if (access.hostKey === other.hostKey) return 'an SSH host key';
  if (access.machineId !== null && access.machineId === other.machineId) return 'a machine-id';
  return null;
}

const staticAddressOf = (config: VmConfig): string | null =>
  /(?:^|,)ip=([0-9.]+)\//.exec(config['ipconfig0'] ?? '')?.[1] ?? null;

async function describe({ finder }: MakeParts, vmid: number, signal: AbortSignal): Promise<Instance> {
  const found = orUnavailable(await finder.find(vmid, signal));
  if (found.existence === 'absent') throw new AppError('PROVISIONER_UNAVAILABLE', 'The VM is gone again.');
  return finder.describe(found, signal);
}
