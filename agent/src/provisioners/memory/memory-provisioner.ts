/**
 * The reference driver: the smallest thing that keeps every promise of the port, with faults on demand. Tests and
 * simulations run on it; it builds nothing that anybody could log in to.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { assertOwnRequest, assertSealed, validSeal } from '../check-seal.ts';
import { instanceId, isOfContract, isOfToken } from '../instance-id.ts';
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
  SshAccess,
  SshKeyChange,
} from '../provisioner.ts';
import { refuseAborted } from '../refuse-aborted.ts';
import { describeHostKey } from '../ssh-host-key.ts';
import type { MemoryBackend, MemoryObject, MemoryOperation } from './memory-backend.ts';

const ABSENT: Absent = { existence: 'absent', evidence: 'the memory backend holds no object with this id' };

/** What a MemoryProvisioner needs. */
export interface MemoryProvisionerParts {
  readonly backend: MemoryBackend;
  readonly clock: Clock;
  readonly sealSecret: Uint8Array;
}

export class MemoryProvisioner implements Provisioner {
  readonly kind = 'memory';
  readonly capabilities: Capabilities = {
    setPasswordInGuest: true,
    rotateSshKey: true,
    resize: false,
    snapshot: false,
    console: false,
  };
  readonly backendId: string;
  readonly #backend: MemoryBackend;
  readonly #clock: Clock;
  readonly #sealSecret: Uint8Array;
  /** What was computed of each object: a list of them is asked for all the time. */
  readonly #known = new WeakMap<
    MemoryObject,
    Pick<Instance, 'seal' | 'ssh'> & { readonly text: string | null }
  >();

  constructor(parts: MemoryProvisionerParts) {
    this.#backend = parts.backend;
    this.backendId = parts.backend.id;
    this.#clock = parts.clock;
    this.#sealSecret = parts.sealSecret;
  }

  async fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    try {
      return await this.#perform('fingerprint', signal, () => {
        const instances = this.#backend.instancesMax - this.#backend.objects.size;
        const freeCapacity = {
          cpu: instances,
          memoryMb: instances * 1024,
          diskGb: instances * 10,
          instances,
          storages: [{ name: 'memory', freeGb: instances * 10 }],
          addresses: instances,
        };
        return { healthy: true, why: 'The memory backend answers.', freeCapacity };
      });
    } catch (error) {
      if (signal.aborted) throw error;
      // A backend that does not answer is what a fingerprint is there to tell.
      return { healthy: false, why: 'The memory backend does not answer.', freeCapacity: null };
    }
  }

  create(request: CreateRequest, signal: AbortSignal): Promise<Instance> {
    return this.#perform('create', signal, () => this.#instance(this.#findOrMake(request)));
  }

  async inspect(handle: Handle, signal: AbortSignal): Promise<Existence> {
    try {
      return await this.#perform('inspect', signal, () => {
        const object = this.#backend.objects.get(handle.id);
        return object === undefined ? ABSENT : this.#present(object);
      });
    } catch (error) {
      if (signal.aborted) throw error;
      // Not being able to look is no evidence of anything (I5).
      return { existence: 'unknown', reason: 'the memory backend does not answer' };
    }
  }

  start(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#perform('start', signal, () => this.#switch(handle, seal, 'running'));
  }

  stop(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#perform('stop', signal, () => this.#switch(handle, seal, 'stopped'));
  }

  destroy(handle: Handle, seal: string, signal: AbortSignal): Promise<Destroyed> {
    return this.#perform('destroy', signal, () => {
      const object = this.#backend.objects.get(handle.id);
      if (object === undefined) return { destroyed: false };
      assertSealed(object, seal, this.#sealSecret);
      return { destroyed: this.#backend.objects.delete(handle.id) };
    });
  }

  setPassword(
    handle: Handle,
    seal: string,
    { user, password }: PasswordChange,
    signal: AbortSignal,
  ): Promise<Present | Absent> {
    return this.#perform('setPassword', signal, () =>
      this.#change(handle, seal, (object) => (object.login = { user, password })),
    );
  }

  rotateSshKey(
    handle: Handle,
    seal: string,
    { sshPublicKey }: SshKeyChange,
    signal: AbortSignal,
  ): Promise<Present | Absent> {
    return this.#perform('rotateSshKey', signal, () =>
      this.#change(handle, seal, (object) => (object.sshPublicKey = sshPublicKey)),
    );
  }

  list(signal: AbortSignal): Promise<InstanceList> {
    return this.#perform('list', signal, (isIncomplete): InstanceList => {
      if (isIncomplete)
        return { complete: false, instances: [], problem: 'the memory backend left something out' };
      const instances = [...this.#backend.objects.values()].map((object) => this.#instance(object));
      return { complete: true, instances };
    });
  }

  async close(): Promise<void> {
    // There is nothing to let go of: the backend belongs to whoever made it.
  }

  #findOrMake(request: CreateRequest): MemoryObject {
    assertOwnRequest(request, this.#sealSecret);
    const { contractId, seal, token, spec } = request;
    const objects = [...this.#backend.objects.values()];
    const existing = objects.find((object) => isOfContract(object.id, contractId));
    if (existing !== undefined) {
      assertSealed(existing, seal, this.#sealSecret);
      return existing;
    }
    if (objects.some((object) => isOfToken(object.id, token))) throw new AppError('PROVISIONER_FOREIGN');
    if (objects.length >= this.#backend.instancesMax) throw new AppError('PROVISIONER_EXHAUSTED');
    const id = instanceId(contractId, token);
    const port = this.#backend.takePort();
    const object: MemoryObject = { id, seal, contractId, token, port, spec: { ...spec }, power: 'running' };
    this.#backend.objects.set(id, object);
    return object;
  }

  #switch(handle: Handle, seal: string, power: 'running' | 'stopped'): Present | Absent {
    const object = this.#backend.objects.get(handle.id);
    if (object === undefined) return ABSENT;
    assertSealed(object, seal, this.#sealSecret);
    object.power = power;
    return this.#present(object);
  }

  /** Changes something in a guest, which has to be on for that. */
  #change(handle: Handle, seal: string, change: (object: MemoryObject) => void): Present | Absent {
    const object = this.#backend.objects.get(handle.id);
    if (object === undefined) return ABSENT;
    assertSealed(object, seal, this.#sealSecret);
    if (object.power !== 'running')
      throw new AppError('PROVISIONER_UNAVAILABLE', 'The instance is off: nothing can be changed in it.');
    change(object);
    return this.#present(object);
  }

  #present(object: MemoryObject): Present {
    return { existence: 'present', instance: this.#instance(object) };
  }

  #instance(object: MemoryObject): Instance {
    const { id, contractId, token, power } = object;
    const handle: Handle = { driver: this.kind, version: 1, id };
    const { seal, ssh } = this.#know(object);
    return { handle, seal, contractId, token, power, ssh };
  }

  #know(object: MemoryObject): Pick<Instance, 'seal' | 'ssh'> {
    const known = this.#known.get(object);
    if (known?.text === object.seal) return known;
    const seal = validSeal(object, this.#sealSecret);
    const computed = { text: object.seal, seal, ssh: sshAccess(object.id, object.port) };
    this.#known.set(object, computed);
    return computed;
  }

  /** Does the work under the fault that waits for this operation, if one does. */
  async #perform<T>(
    operation: MemoryOperation,
    signal: AbortSignal,
    work: (isIncomplete?: boolean) => T,
  ): Promise<T> {
    refuseAborted(signal);
    const fault = this.#backend.takeFault(operation);
    switch (fault?.what) {
      case undefined:
        return work();
      case 'incomplete':
        return work(true);
      case 'error':
        throw new AppError('PROVISIONER_UNAVAILABLE');
      case 'done_but_failed':
        work();
        throw new AppError('PROVISIONER_FAILED');
      case 'reply_lost':
        work();
        return await rejectOnAbort<T>(signal, () => {});
      case 'late':
        return await rejectOnAbort<T>(signal, (resolve, reject) => {
          this.#clock.schedule(fault.delayMs, () => {
            try {
              resolve(work());
            } catch (error) {
              reject(error);
            }
          });
        });
    }
  }
}

/** A promise that the work may settle, unless the caller gives up first. */
function rejectOnAbort<T>(
  signal: AbortSignal,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new AppError('SAGA_ABORTED', undefined, { cause: signal.reason }));
    signal.addEventListener('abort', onAbort, { once: true });
    const settle =
      <V>(end: (value: V) => void) =>
      (value: V) => {
        signal.removeEventListener('abort', onAbort);
        end(value);
      };
    begin(settle(resolve), settle(reject));
  });
}

/** A host key nobody holds the private half of, but stable for the object and well formed. */
function sshAccess(id: string, port: number): SshAccess {
  const publicKey = createHash('sha256').update(id).digest();
  return { host: '127.0.0.1', port, user: 'renter', ...describeHostKey(publicKey) };
}
