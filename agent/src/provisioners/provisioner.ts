/**
 * The port to the backends that instances run on. A driver implements it once for each kind of backend, and
 * the suite in `testing/provisioner-conformance.ts` holds every driver to what is written here.
 *
 * INVARIANTS (see ARCHITECTURE.md):
 * - I4: at most one instance for a contract. `create` looks for the contract before it makes anything.
 * - I5: present, absent and unknown are three answers. An error, a time-out or an empty list is never absence.
 * - I6: `create` and every method that takes a seal first read the seal that the object itself carries at the
 *   backend. Where it is missing, not this provider's, or of another contract: PROVISIONER_FOREIGN, and
 *   nothing is touched.
 *
 * Errors are AppErrors with a PROVISIONER_* code; no secret and no vendor's text is in their message.
 * A method whose signal is aborted rejects with SAGA_ABORTED as soon as it can do so safely; what it had begun
 * at the backend may still happen, and `list` or `inspect` tells.
 */
import type { MadeStage } from './made-stages.ts';

/** What can be stored as JSON. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What was ordered. The driver refuses what it cannot build with PROVISIONER_SPEC_UNSUPPORTED. */
export interface InstanceSpec {
  readonly cpu: number;
  readonly memoryMb: number;
  readonly diskGb: number;
  readonly operatingSystem: string;
  /** The renter's key, one line in OpenSSH's format. */
  readonly sshPublicKey: string;
  /** A DNS label: 1 to 63 of `a-z`, `0-9` and `-`. */
  readonly hostname: string;
}

/** One wish for an instance. */
export interface CreateRequest {
  readonly contractId: string;
  /** The seal that the object shall carry (`makeSeal`), for exactly this contract. */
  readonly seal: string;
  readonly spec: InstanceSpec;
  /** Made and recorded in an earlier saga step: the same token twice is the same instance. 1 to 128 characters. */
  readonly token: string;
}

/**
 * A driver's reference to one instance: small JSON that is kept in the journal and read again after a restart
 * or an upgrade. `id` is unique within the driver: another token makes another id.
 */
export interface Handle {
  readonly driver: string;
  readonly version: 1;
  readonly id: string;
  readonly [key: string]: Json;
}

/** Where the renter logs in, and what the server must prove there. */
export interface SshAccess {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** `SHA256:` and base64 without padding, as `ssh-keygen -l` prints it. */
  readonly hostKeyFingerprint: string;
  /** The host key as in known_hosts: `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
}

/** An instance as the backend has it. */
export interface Instance {
  readonly handle: Handle;
  /** The seal it carries, when that is one of this provider's; null means: not ours, leave it alone. */
  readonly seal: string | null;
  /** The contract that the object claims to be for; only worth something together with a seal. */
  readonly contractId: string | null;
  /** The token it was made with, where the backend keeps it. */
  readonly token: string | null;
  readonly power: 'running' | 'stopped';
  /** Null while there is no way in yet. */
  readonly ssh: SshAccess | null;
  /** Why it is not as it should be, for the operator. No secrets. */
  readonly problem?: string;
}

/** The instance is there. */
export interface Present {
  readonly existence: 'present';
  readonly instance: Instance;
}

/** The instance is proved not to be there; `evidence` says by what. */
export interface Absent {
  readonly existence: 'absent';
  readonly evidence: string;
}

/** Nobody can tell now. Never to be taken for absence. */
export interface Unknown {
  readonly existence: 'unknown';
  readonly reason: string;
}

export type Existence = Present | Absent | Unknown;

/** What a driver can do beyond the interface. Data, so that nobody has to try. */
export interface Capabilities {
  readonly setPasswordInGuest: boolean;
  readonly rotateSshKey: boolean;
  readonly resize: boolean;
  readonly snapshot: boolean;
  readonly console: boolean;
}

/** What is still to be had at the backend. */
export interface FreeCapacity {
  readonly cpu: number;
  readonly memoryMb: number;
  /** All of it together. */
  readonly diskGb: number;
  readonly instances: number;
  /** Disk by storage, where there is more than one: an instance's disk is on one of them, whole. */
  readonly storages?: readonly StorageRoom[];
  /** Public addresses, and blocks of forwarded ports, where the backend has so many and no more. */
  readonly addresses?: number;
  readonly portBlocks?: number;
}

/** Room on one storage. */
export interface StorageRoom {
  readonly name: string;
  readonly freeGb: number;
}

/** How the backend is. */
export interface Fingerprint {
  readonly healthy: boolean;
  /** One sentence for the operator, good news too. */
  readonly why: string;
  /** Null where the backend does not say. */
  readonly freeCapacity: FreeCapacity | null;
  /**
   * Tells this backend (cluster, project, machine) from every other one, where several agents can work on it: their
   * room is then counted once. At most 128 characters, no secret.
   */
  readonly backendId?: string;
}

/** What the backend holds. Only with `complete` does a missing instance say anything at all. */
export interface InstanceList {
  readonly complete: boolean;
  readonly instances: readonly Instance[];
  /** Why the list is not complete. */
  readonly problem?: string;
}

/** What `destroy` did. Either way the instance is gone. */
export interface Destroyed {
  /** False when it was gone before. */
  readonly destroyed: boolean;
}

/** A password for a user of the guest. */
export interface PasswordChange {
  readonly user: string;
  readonly password: string;
}

/** A key that opens the guest for a user, in the place of another. Both one line in OpenSSH's format. */
export interface SshKeyChange {
  readonly user: string;
  readonly sshPublicKey: string;
  readonly replaces: string;
}

/** A backend. Every method may be called concurrently, for one instance too. */
export interface Provisioner {
  /** The driver's name in the configuration and in handles. */
  readonly kind: string;
  readonly capabilities: Capabilities;
  /**
   * The name of the backend itself: the same for every agent that works on it, over restarts and new set-ups, and for
   * no other backend. Left out where the driver knows none; what another agent made there can then be found by its
   * seal, but not proved gone by its absence.
   */
  readonly backendId?: string | undefined;

  /**
   * What work on such an instance competes for: a storage, a project. So many contracts as the configuration allows
   * are worked on at once in each; without this the whole backend is one. Pure, and the same for the same spec.
   */
  laneOf?(spec: Omit<InstanceSpec, 'sshPublicKey' | 'hostname'>): string;

  /** Looks at the backend without changing it. A backend that does not answer is an unhealthy one, not an error. */
  fingerprint(signal: AbortSignal): Promise<Fingerprint>;

  /**
   * Makes the instance and answers once it exists at the backend and will be found by `list`.
   * Idempotent: the same token, or another token for the same contract, answers the instance that is there
   * (with the token that it was made with). When it cannot be told whether there is one already, it fails with
   * PROVISIONER_UNAVAILABLE and makes none. A token that made another contract's instance: PROVISIONER_FOREIGN.
   * Aborted: nothing is left, or something that `list` shows. `onStage` hears of each stage that has ended, where the
   * driver tells.
   */
  create(
    request: CreateRequest,
    signal: AbortSignal,
    onStage?: (stage: MadeStage) => void,
  ): Promise<Instance>;

  /** Asks the backend for one instance. Throws nothing for a backend that fails: that is `unknown`. */
  inspect(handle: Handle, signal: AbortSignal): Promise<Existence>;

  /** Turns the instance on. On already: success. `seal` is the one that it must carry. */
  start(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent>;

  /** Turns the instance off; whoever is logged in is cut off. Off already: success. */
  stop(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent>;

  /**
   * Destroys the instance with everything in it, and resolves only when its absence is proved. One that is
   * absent already is a success. Interrupted, it goes on or can be called again; until the end `list` shows it.
   */
  destroy(handle: Handle, seal: string, signal: AbortSignal): Promise<Destroyed>;

  /**
   * Sets a user's password inside the running guest. The same again is a success: it may be asked for twice. Whether
   * one can log in with it is not said here: the caller tries. Throws CREDENTIALS_UNSUPPORTED where the capability
   * `setPasswordInGuest` is missing, PROVISIONER_UNAVAILABLE where the guest cannot be reached now or is off.
   */
  setPassword(
    handle: Handle,
    seal: string,
    change: PasswordChange,
    signal: AbortSignal,
  ): Promise<Present | Absent>;

  /** Puts one SSH key in the place of another. As `setPassword`, by the capability `rotateSshKey`. */
  rotateSshKey(
    handle: Handle,
    seal: string,
    change: SshKeyChange,
    signal: AbortSignal,
  ): Promise<Present | Absent>;

  /** Everything of this driver at the backend: running, stopped, half made, and with `seal: null` what is not ours. */
  list(signal: AbortSignal): Promise<InstanceList>;

  /** Lets go of sockets, timers and processes. Instances stay at the backend. Idempotent; nothing may follow it. */
  close(): Promise<void>;
}

/** How records name the backend; nothing where its driver does not. */
export const backendOf = ({ backendId }: Pick<Provisioner, 'backendId'>): { backend_id?: string } =>
  backendId === undefined ? {} : { backend_id: backendId };
