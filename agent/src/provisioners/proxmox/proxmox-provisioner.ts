/**
 * The `proxmox` driver: instances are VMs of a Proxmox VE cluster, cloned from templates into a VMID range of this
 * agent's own. What a VM is stands on itself (the seal in its description); the store remembers what was asked for.
 */
import { AppError, isAppError } from '@dc/shared/errors';
import { assertOwnRequest, assertSealed, validSeal } from '../check-seal.ts';
import { instanceId } from '../instance-id.ts';
import { KeyedMutex } from '../keyed-mutex.ts';
import { stagesFor, type MadeStage } from '../made-stages.ts';
import type {
  Absent,
  Capabilities,
  CreateRequest,
  Destroyed,
  Existence,
  Fingerprint,
  Handle,
  Instance,
  InstanceList,
  PasswordChange,
  Present,
  Provisioner,
  SshKeyChange,
  Unknown,
} from '../provisioner.ts';
import { refuseAborted } from '../refuse-aborted.ts';
import type { ProvisionerContext } from '../registry.ts';
import { awaitTask } from './await-task.ts';
import { switchPower } from './build-vm.ts';
import { changeKey, changePassword, managementKeyLine, type LoginWay } from './change-login.ts';
import { capacityOf } from './cluster-capacity.ts';
import { ClaimStore } from './claim-store.ts';
import { GuestAgent } from './guest-agent.ts';
import { awaitLogin, makeInstance, type MakeParts } from './make-instance.ts';
import { openClient, readToken } from './open-client.ts';
import { bootDiskOf } from './place-vm.ts';
import { proveAbsence } from './prove-absence.ts';
import { proxmoxSettingsOf, type ProxmoxOptions, type ProxmoxSettings } from './proxmox-options.ts';
import { PveCluster, type PveResources } from './pve-cluster.ts';
import { pvePath } from './pve-path.ts';
import { StorageGovernor } from './storage-governor.ts';
import { translateRefusal } from './translate-refusal.ts';
import { orUnavailable, VmFinder, type FoundVm } from './vm-finder.ts';

const DESTROY_TIMEOUT_MS = 10 * 60_000;
const ROOT_FACT = 'root_ca_sha256';

export class ProxmoxProvisioner implements Provisioner {
  readonly kind = 'proxmox';
  readonly capabilities: Capabilities = {
    setPasswordInGuest: true,
    rotateSshKey: true,
    resize: false,
    snapshot: false,
    console: false,
  };
  readonly #parts: MakeParts;
  readonly #settings: ProxmoxSettings;
  readonly #store: ClaimStore;
  readonly #cluster: PveCluster;
  readonly #finder: VmFinder;
  readonly #agent: GuestAgent;
  readonly #locks = new KeyedMutex();
  /** The storage of each template's boot disk, which does not change: by VMID. */
  readonly #templateStorages = new Map<number, string>();
  #isClosed = false;

  private constructor(parts: MakeParts, agent: GuestAgent) {
    this.#parts = parts;
    this.#agent = agent;
    ({ settings: this.#settings, store: this.#store, cluster: this.#cluster, finder: this.#finder } = parts);
  }

  /** Opens the store. The cluster need not answer. Throws KEY_FILE_UNSAFE or KEY_FILE_INVALID for the token file. */
  static async open(options: ProxmoxOptions, context: ProvisionerContext): Promise<ProxmoxProvisioner> {
    const { clock, sealSecret, stateDir } = context;
    readToken(options.token_file);
    const settings = proxmoxSettingsOf(options);
    const store = ClaimStore.open(stateDir, clock);
    const cluster = new PveCluster(openClient(options, clock));
    const agent = new GuestAgent(cluster, clock);
    const finder = new VmFinder({ cluster, store, settings, clock, sealSecret });
    const { sshPort, networks, neighboursFile, readyTimeoutMs: timeoutMs } = settings;
    const { pace } = cluster.client;
    const guestWait = { agent, pace, clock, sshPort, networks, timeoutMs, neighboursFile };
    const governor = new StorageGovernor();
    const managementKey = managementKeyLine(sealSecret);
    return new ProxmoxProvisioner(
      { cluster, store, governor, settings, clock, finder, sealSecret, guestWait, managementKey },
      agent,
    );
  }

  /** The cluster's own authority and the pool: the same for every agent there, over renewals of certificates. */
  get backendId(): string | undefined {
    const root = this.#store.fact(ROOT_FACT);
    return root === null ? undefined : `pve.${root}.${this.#settings.pool ?? ''}`;
  }

  async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    refuseAborted(signal);
    const unhealthy = (why: string): Fingerprint => ({ healthy: false, why, freeCapacity: null });
    try {
      const { resources, problems } = await this.#finder.survey(signal);
      if (problems.length > 0) return unhealthy(`${sentence(problems[0] ?? '')}.`);
      const templates = resources.templates.length;
      if (templates === 0) return unhealthy('The token sees no template to clone.');
      const storages = await this.#storagesOf(resources, signal);
      const freeVmids = this.#freeVmids(resources);
      await this.#learnRoot(resources, signal);
      const { backendId } = this;
      const { addresses } = this.#settings;
      const freeAddresses = addresses === null ? null : this.#store.freeAddresses(addresses);
      return {
        healthy: true,
        why: `${resources.nodes.length} nodes answer, ${templates} templates are there.`,
        freeCapacity: capacityOf(resources, this.#settings, { freeVmids, freeAddresses, storages }),
        ...(backendId === undefined ? {} : { backendId }),
      };
    } catch (error) {
      const translated = translateRefusal(error);
      if (isAppError(translated) && translated.code !== 'SAGA_ABORTED')
        return unhealthy(`${translated.message} ${translated.remedy ?? ''}`.trim());
      throw translated;
    }
  }

  create(
    request: CreateRequest,
    signal: AbortSignal,
    onStage: (stage: MadeStage) => void = () => undefined,
  ): Promise<Instance> {
    const runStage = stagesFor(this.#parts.clock, onStage);
    return this.#exclusively(request.contractId, signal, async () => {
      assertOwnRequest(request, this.#parts.sealSecret);
      return makeInstance({ ...this.#parts, runStage }, request, signal);
    });
  }

  async inspect(handle: Handle, signal: AbortSignal): Promise<Existence> {
    refuseAborted(signal);
    try {
      const found = await this.#find(handle, signal);
      if (found.existence !== 'present') return found;
      return { existence: 'present', instance: await this.#finder.describe(found, signal) };
    } catch (error) {
      const translated = translateRefusal(error);
      if (isAppError(translated, 'SAGA_ABORTED') || !isAppError(translated)) throw translated;
      return { existence: 'unknown', reason: translated.message };
    }
  }

  start(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#touch(handle, { seal, signal }, async (found) => {
      const { node, vmid } = found;
      await switchPower(this.#parts, { node, vmid, verb: 'start' }, signal);
      this.#finder.notePower(vmid, 'running');
      const claim = this.#store.ofVmid(vmid);
      if (claim !== null) await awaitLogin(this.#parts, { ...claim, node }, signal);
      return { existence: 'present', instance: await this.#finder.describe(found, signal) };
    });
  }

  stop(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#touch(handle, { seal, signal }, async (found) => {
      const { node, vmid } = found;
      await switchPower(this.#parts, { node, vmid, verb: 'shutdown' }, signal);
      return { existence: 'present', instance: await this.#finder.describe(found, signal) };
    });
  }

  async destroy(handle: Handle, seal: string, signal: AbortSignal): Promise<Destroyed> {
    const outcome = await this.#touch(handle, { seal, signal }, async ({ node, vmid }) => {
      await switchPower(this.#parts, { node, vmid, verb: 'stop' }, signal);
      const { client } = this.#cluster;
      const path = pvePath`/nodes/${node}/qemu/${vmid}`;
      const upid = String(await client.call('DELETE', path, { purge: true }, signal));
      const { clock } = this.#parts;
      await awaitTask(upid, { client, clock, signal, timeoutMs: DESTROY_TIMEOUT_MS });
      const proof = await proveAbsence(this.#cluster, vmid, signal);
      if (proof.existence === 'taken')
        throw new AppError(
          'PROVISIONER_FAILED',
          'The VM is still there although its removal has ended well.',
        );
      orUnavailable(proof);
      this.#store.free(vmid);
      return { destroyed: true };
    });
    return 'destroyed' in outcome ? outcome : { destroyed: false };
  }

  setPassword(
    handle: Handle,
    seal: string,
    change: PasswordChange,
    signal: AbortSignal,
  ): Promise<Present | Absent> {
    return this.#inGuest(handle, { seal, signal }, (way) => changePassword(way, change));
  }

  rotateSshKey(
    handle: Handle,
    seal: string,
    change: SshKeyChange,
    signal: AbortSignal,
  ): Promise<Present | Absent> {
    return this.#inGuest(handle, { seal, signal }, (way) => changeKey(way, change));
  }

  async list(signal: AbortSignal): Promise<InstanceList> {
    refuseAborted(signal);
    try {
      const { instances, problems } = await this.#finder.survey(signal);
      if (problems.length === 0) return { complete: true, instances };
      return { complete: false, instances, problem: problems.join('; ') };
    } catch (error) {
      const translated = translateRefusal(error);
      if (isAppError(translated, 'SAGA_ABORTED') || !isAppError(translated)) throw translated;
      return { complete: false, instances: [], problem: translated.message };
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#cluster.client.close();
    this.#store.close();
  }

  /** The VM that a handle means. A VMID that is another contract's now means that ours is gone or was never told. */
  async #find(handle: Handle, signal: AbortSignal): Promise<FoundVm | Absent | Unknown> {
    const vmid = handle['vmid'];
    if (handle.driver !== this.kind || handle.version !== 1 || typeof vmid !== 'number')
      return { existence: 'unknown', reason: 'the handle was made by another driver' };
    const found = await this.#finder.find(vmid, signal);
    if (found.existence === 'absent') {
      const claim = this.#store.ofVmid(vmid);
      // The VMID may be another contract's by now, whose VM is not there yet.
      if (claim !== null && instanceId(claim.contractId, claim.token) === handle.id) this.#store.free(vmid);
    }
    if (found.existence !== 'present' || !this.#isAnotherOfOurs(found, handle)) return found;
    return {
      existence: 'absent',
      evidence: `the VMID ${vmid} belongs to another contract of ours now, by its seal`,
    };
  }

  #isAnotherOfOurs({ notes }: FoundVm, handle: Handle): boolean {
    return (
      notes !== null &&
      validSeal(notes, this.#parts.sealSecret) !== null &&
      instanceId(notes.contractId, notes.token) !== handle.id
    );
  }

  /** Does something to a VM that carries the right seal, while nobody else here does anything to it. */
  #touch<T>(
    handle: Handle,
    { seal, signal }: { seal: string; signal: AbortSignal },
    work: (found: FoundVm) => Promise<T>,
  ): Promise<T | Absent> {
    return this.#exclusively(handle.id.split('.')[0] ?? '', signal, async () => {
      const found = orUnavailable(await this.#find(handle, signal));
      if (found.existence === 'absent') return found;
      assertSealed(found.notes ?? { seal: null, contractId: null }, seal, this.#parts.sealSecret);
      return work(found);
    });
  }

  #inGuest(
    handle: Handle,
    { seal, signal }: { seal: string; signal: AbortSignal },
    change: (way: LoginWay) => Promise<void>,
  ): Promise<Present | Absent> {
    return this.#touch(handle, { seal, signal }, async (found) => {
      const instance = await this.#finder.describe(found, signal);
      if (instance.power !== 'running')
        throw new AppError('PROVISIONER_UNAVAILABLE', 'The VM is off: nothing can be changed in it.');
      const { clock, sealSecret } = this.#parts;
      await change({ agent: this.#agent, place: found, ssh: instance.ssh, sealSecret, clock, signal });
      return { existence: 'present', instance };
    });
  }

  /** One at a time for each contract. What Proxmox says becomes AppErrors. */
  #exclusively<T>(contractId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#locks.run(contractId, async () => {
      refuseAborted(signal);
      try {
        return await work();
      } catch (error) {
        const translated = translateRefusal(error);
        if (isAppError(translated)) throw translated;
        throw new AppError('PROVISIONER_FAILED', undefined, { cause: error });
      }
    });
  }

  /** Where disks come to be: the configured storage, or that of each template. */
  async #storagesOf({ templates }: PveResources, signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { storage } = this.#settings;
    if (storage !== null) return new Set([storage]);
    for (const { node, vmid } of templates) {
      if (this.#templateStorages.has(vmid)) continue;
      const disk = bootDiskOf(await this.#cluster.config(node, vmid, signal));
      if (disk !== null) this.#templateStorages.set(vmid, disk.storage);
    }
    return new Set(templates.flatMap(({ vmid }) => this.#templateStorages.get(vmid) ?? []));
  }

  /** Asks each time: an agent that is pointed at another cluster must not speak in the name of the first. */
  async #learnRoot({ nodes }: PveResources, signal: AbortSignal): Promise<void> {
    const node = nodes.find(({ status }) => status === 'online')?.node;
    if (node === undefined) return;
    const root = await this.#cluster.rootFingerprint(node, signal);
    const plain = root?.replaceAll(':', '').toLowerCase() ?? null;
    if (plain !== null && plain !== this.#store.fact(ROOT_FACT)) this.#store.noteFact(ROOT_FACT, plain);
  }

  #freeVmids({ takenVmids }: PveResources): number {
    const { vmids } = this.#settings;
    const foreign = [...takenVmids].filter(
      (vmid) => vmid >= vmids.first && vmid <= vmids.last && this.#store.ofVmid(vmid) === null,
    );
    return Math.max(0, this.#store.freeVmids(vmids) - foreign.length);
  }
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
