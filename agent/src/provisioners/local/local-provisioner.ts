/**
 * The `local` driver: each instance is a real SSH server on a loopback port of this process, with a shell in a
 * scratch home, for demonstrations and tests. It builds no walls: whoever logs in is the agent's user. What is on
 * the disk (instance-store.ts) is the truth about instances; this class holds what runs for them.
 */
import { AppError } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { assertOwnRequest, assertSealed, validSeal } from '../check-seal.ts';
import { isOfContract, isOfToken } from '../instance-id.ts';
import { KeyedMutex } from '../keyed-mutex.ts';
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
} from '../provisioner.ts';
import { refuseAborted } from '../refuse-aborted.ts';
import type { ProvisionerContext } from '../registry.ts';
import { describeHostKey, publicKeyOfSeed } from '../ssh-host-key.ts';
import { InstanceStore, type InstanceRecord, type StoredInstance } from './instance-store.ts';
import { killProcessesAtHome } from './leftover-processes.ts';
import { LocalMachines } from './local-machines.ts';
import { hashPassword } from './password-hash.ts';
import { settingsOf, type LocalOptions, type LocalSettings } from './local-options.ts';

const ABSENT: Absent = {
  existence: 'absent',
  evidence: 'the folder of instances is readable and does not hold this one',
};

export class LocalProvisioner implements Provisioner {
  readonly kind = 'local';
  readonly capabilities: Capabilities = {
    setPasswordInGuest: true,
    rotateSshKey: true,
    resize: false,
    snapshot: false,
    console: false,
  };
  readonly backendId: string;
  readonly #context: ProvisionerContext;
  readonly #settings: LocalSettings;
  readonly #store: InstanceStore;
  readonly #machines: LocalMachines;
  readonly #locks = new KeyedMutex();

  private constructor(
    context: ProvisionerContext,
    settings: LocalSettings,
    store: InstanceStore,
    machines: LocalMachines,
  ) {
    this.#context = context;
    this.#settings = settings;
    this.#store = store;
    this.#machines = machines;
    this.backendId = `local-${store.id}`;
  }

  /** Opens the state folder, finishes what a crash interrupted, and starts the servers of instances that are on. */
  static async open(options: LocalOptions, context: ProvisionerContext): Promise<LocalProvisioner> {
    const settings = settingsOf(options);
    const store = await InstanceStore.open(context.stateDir, context.random);
    await killProcessesAtHome(store.folder, context.clock);
    const machines = new LocalMachines(settings, store, context);
    const driver = new LocalProvisioner(context, settings, store, machines);
    await Promise.all((await store.ids()).map((id) => driver.#resume(id)));
    machines.warmUp();
    return driver;
  }

  async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    refuseAborted(signal);
    try {
      await this.#store.ids();
    } catch {
      // What is wrong with the folder is what a fingerprint is there to tell.
      return { healthy: false, why: 'The folder of instances cannot be read.', freeCapacity: null };
    }
    const transfers =
      (await this.#machines.tools()).sftpServer === null ? 'without sftp and scp' : 'with sftp and scp';
    const why = `Instances are SSH servers on ${this.#settings.bind}, ${transfers}.`;
    return { healthy: true, why, freeCapacity: this.#machines.free() };
  }

  create(request: CreateRequest, signal: AbortSignal): Promise<Instance> {
    return this.#exclusively(request.contractId, signal, async () => {
      assertOwnRequest(request, this.#context.sealSecret);
      const existing = await this.#findExisting(request);
      if (existing !== null) return this.#describe(existing);
      return this.#describe(await this.#machines.make(request, signal));
    });
  }

  async inspect(handle: Handle, signal: AbortSignal): Promise<Existence> {
    refuseAborted(signal);
    const stored = await this.#read(handle);
    if (stored.kind === 'absent') return ABSENT;
    if (stored.kind === 'unreadable') return { existence: 'unknown', reason: stored.reason };
    return { existence: 'present', instance: this.#describe(stored.record) };
  }

  start(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#touch(handle, seal, signal, async (record) => {
      if (record.phase === 'destroying') throw unavailable('The instance is being destroyed.');
      await this.#machines.start(record);
      return this.#switchedTo(record, 'running');
    });
  }

  stop(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#touch(handle, seal, signal, async (record) => {
      // First on the disk: a crash in between must not turn it on again.
      const stopped = await this.#switchedTo(record, 'stopped');
      await this.#machines.stop(record.id);
      return { ...stopped, instance: this.#describe({ ...record, power: 'stopped' }) };
    });
  }

  async destroy(handle: Handle, seal: string, signal: AbortSignal): Promise<Destroyed> {
    const outcome = await this.#touch(handle, seal, signal, async (record) => {
      await this.#store.write({ ...record, phase: 'destroying', power: 'stopped' });
      await this.#finishDestroying(record.id);
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
    return this.#admit(handle, seal, signal, async (record) => ({
      ...record,
      password: await hashPassword(change, this.#context.random),
    }));
  }

  rotateSshKey(
    handle: Handle,
    seal: string,
    { sshPublicKey }: SshKeyChange,
    signal: AbortSignal,
  ): Promise<Present | Absent> {
    // There is one key, and so nothing else to keep.
    const { line } = parseSshPublicKey(sshPublicKey);
    return this.#admit(handle, seal, signal, async (record) => ({
      ...record,
      spec: { ...record.spec, sshPublicKey: line },
    }));
  }

  async list(signal: AbortSignal): Promise<InstanceList> {
    refuseAborted(signal);
    let ids: string[];
    try {
      ids = await this.#store.ids();
    } catch {
      // A list that cannot be made is an incomplete one, which is an answer that callers must handle anyway.
      return { complete: false, instances: [], problem: 'the folder of instances cannot be read' };
    }
    const stored = await Promise.all(ids.map((id) => this.#store.read(id)));
    const instances = stored.flatMap((one) => (one.kind === 'record' ? [this.#describe(one.record)] : []));
    const unreadable = ids.filter((_, index) => stored[index]?.kind === 'unreadable');
    if (unreadable.length === 0) return { complete: true, instances };
    return { complete: false, instances, problem: `the record of ${unreadable.join(', ')} cannot be read` };
  }

  close(): Promise<void> {
    return this.#machines.close();
  }

  /** Takes up an instance that was there when the driver was opened. */
  async #resume(id: string): Promise<void> {
    const stored = await this.#store.read(id);
    if (stored.kind === 'absent') return;
    if (stored.kind === 'unreadable') {
      this.#machines.setAside(id);
      return;
    }
    const { record } = stored;
    this.#machines.adopt(record);
    if (validSeal(record, this.#context.sealSecret) === null) return;
    // What fails here leaves the instance listed with its problem, and must not keep the others from starting.
    if (record.phase === 'destroying') await this.#finishDestroying(id).catch(() => {});
    else if (record.power === 'running') await this.#machines.start(record).catch(() => {});
  }

  async #finishDestroying(id: string): Promise<void> {
    await this.#machines.stop(id);
    await this.#store.remove(id);
    if ((await this.#store.read(id)).kind !== 'absent') throw new AppError('PROVISIONER_FAILED');
    this.#machines.forget(id);
  }

  /** The instance that this order has already led to, if any. Throws when that cannot be told. */
  async #findExisting(request: CreateRequest): Promise<InstanceRecord | null> {
    const ids = await this.#store.ids();
    const id = ids.find((other) => isOfContract(other, request.contractId));
    if (id === undefined) {
      if (ids.some((other) => isOfToken(other, request.token))) throw new AppError('PROVISIONER_FOREIGN');
      return null;
    }
    const stored = await this.#store.read(id);
    if (stored.kind === 'absent') return null;
    if (stored.kind === 'unreadable')
      throw unavailable('There is an instance for this contract that cannot be read.');
    assertSealed(stored.record, request.seal, this.#context.sealSecret);
    if (stored.record.phase === 'destroying')
      throw unavailable('The instance of this contract is being destroyed.');
    return stored.record;
  }

  /** Does something to an instance that carries the right seal, while nobody else does anything to it. */
  #touch<T>(
    handle: Handle,
    seal: string,
    signal: AbortSignal,
    work: (record: InstanceRecord) => Promise<T>,
  ): Promise<T | Absent> {
    const contractId = handle.id.split('.')[0] ?? '';
    return this.#exclusively(contractId, signal, async () => {
      const stored = await this.#read(handle);
      if (stored.kind === 'absent') return ABSENT;
      if (stored.kind === 'unreadable')
        throw unavailable(`The instance is left alone: ${stored.reason}.`, stored.cause);
      assertSealed(stored.record, seal, this.#context.sealSecret);
      return work(stored.record);
    });
  }

  /** Changes who is let in: on the disk first, so that a restart does not bring the old ones back. */
  #admit(
    handle: Handle,
    seal: string,
    signal: AbortSignal,
    change: (record: InstanceRecord) => Promise<InstanceRecord>,
  ): Promise<Present | Absent> {
    return this.#touch(handle, seal, signal, async (record) => {
      if (record.phase === 'destroying') throw unavailable('The instance is being destroyed.');
      if (record.power !== 'running' || !this.#machines.isUp(record.id))
        throw unavailable('The instance is off: nothing can be changed in it.');
      const changed = await change(record);
      await this.#store.write(changed);
      this.#machines.admit(changed);
      return { existence: 'present', instance: this.#describe(changed) };
    });
  }

  /** One at a time for each contract. Errors of the system become AppErrors. */
  #exclusively<T>(contractId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.#locks.run(contractId, async () => {
      refuseAborted(signal);
      try {
        return await work();
      } catch (error) {
        if (error instanceof AppError) throw error;
        throw new AppError('PROVISIONER_FAILED', undefined, { cause: error });
      }
    });
  }

  async #read(handle: Handle): Promise<StoredInstance> {
    if (handle.driver !== this.kind || handle.version !== 1 || handle['store'] !== this.#store.id) {
      return {
        kind: 'unreadable',
        reason: 'the handle was made by another driver or in another state folder',
      };
    }
    return this.#store.read(handle.id);
  }

  async #switchedTo(record: InstanceRecord, power: 'running' | 'stopped'): Promise<Present> {
    const switched = { ...record, power };
    if (record.power !== power) await this.#store.write(switched);
    return { existence: 'present', instance: this.#describe(switched) };
  }

  #describe(record: InstanceRecord): Instance {
    const { id, contractId, token, port } = record;
    const problem = record.phase === 'destroying' ? 'it is being destroyed' : this.#machines.problemOf(id);
    return {
      handle: { driver: this.kind, version: 1, id, store: this.#store.id },
      seal: validSeal(record, this.#context.sealSecret),
      contractId,
      token,
      power: record.power === 'running' && this.#machines.isUp(id) ? 'running' : 'stopped',
      ssh: {
        host: this.#settings.bind,
        port,
        user: this.#settings.user,
        ...describeHostKey(publicKeyOfSeed(Buffer.from(record.hostKeySeed, 'base64'))),
      },
      ...(problem === undefined ? {} : { problem }),
    };
  }
}

function unavailable(detail: string, cause?: unknown): AppError {
  return new AppError('PROVISIONER_UNAVAILABLE', detail, { cause });
}
