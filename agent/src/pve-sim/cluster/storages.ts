/**
 * Storages: what each kind can do (linked clones, snapshots, what its volumes are called), which volumes are on
 * them, how full they are, and their locks, which time out as Proxmox VE's do.
 */
import type { CancelTimer, Clock } from '@dc/shared/clock';
import { PveError } from '../http/pve-error.ts';

/** The kinds that the simulator knows. */
export type StorageType = 'dir' | 'lvm' | 'lvmthin' | 'zfspool' | 'nfs' | 'rbd';

/** What a storage is configured as. */
export interface StorageOptions {
  readonly storage: string;
  readonly type: StorageType;
  /** Content types; the kind's own where not given. */
  readonly content?: readonly string[];
  /** On which nodes it is; all where not given. */
  readonly nodes?: readonly string[];
  readonly totalBytes?: number;
  /** What others have on it. */
  readonly foreignBytes?: number;
  readonly disabled?: boolean;
}

/** What a kind of storage can do. */
export interface StorageAbilities {
  readonly isShared: boolean;
  readonly isFiles: boolean;
  readonly canClone: boolean;
  readonly canSnapshot: boolean;
  /** The volume name of a linked clone names its base. */
  readonly namesBase: boolean;
  readonly content: readonly string[];
}

/** The kinds and what they can do. */
export const ABILITIES: Readonly<Record<StorageType, StorageAbilities>> = {
  dir: abilities({ isFiles: true, canClone: true, canSnapshot: true, namesBase: true }, [
    'images',
    'iso',
    'vztmpl',
    'backup',
    'snippets',
    'import',
  ]),
  nfs: abilities({ isShared: true, isFiles: true, canClone: true, canSnapshot: true, namesBase: true }, [
    'images',
    'iso',
    'snippets',
    'import',
  ]),
  lvm: abilities({}, ['images', 'rootdir']),
  lvmthin: abilities({ canClone: true, canSnapshot: true }, ['images', 'rootdir']),
  zfspool: abilities({ canClone: true, canSnapshot: true, namesBase: true }, ['images', 'rootdir']),
  rbd: abilities({ isShared: true, canClone: true, canSnapshot: true, namesBase: true }, [
    'images',
    'rootdir',
  ]),
};

/** A volume on a storage. */
export interface Volume {
  readonly volid: string;
  /** Of local storages: the node that has it; shared volumes are on every node. */
  readonly node: string | null;
  readonly vmid: number | null;
  readonly content: string;
  readonly format: string;
  sizeBytes: number;
  /** What it takes up: a linked clone takes next to nothing at first. */
  usedBytes: number;
  /** The volume that this one is a linked clone of. */
  readonly parent: string | undefined;
  readonly ctime: number;
}

const TOTAL_BYTES = 500 * 1024 ** 3;

export class Storage {
  readonly options: StorageOptions;
  readonly abilities: StorageAbilities;
  /** What others put on it, beside the volumes: for a storage that fills up. */
  foreignBytes: number;
  isDisabled: boolean;

  constructor(options: StorageOptions) {
    this.options = options;
    this.abilities = ABILITIES[options.type];
    this.foreignBytes = options.foreignBytes ?? 0;
    this.isDisabled = options.disabled ?? false;
  }

  get content(): readonly string[] {
    return this.options.content ?? this.abilities.content;
  }

  get totalBytes(): number {
    return this.options.totalBytes ?? TOTAL_BYTES;
  }

  isOn(node: string): boolean {
    return this.options.nodes?.includes(node) ?? true;
  }
}

export class Storages {
  readonly #storages = new Map<string, Storage>();
  readonly #volumes = new Map<string, Volume>();
  readonly locks: Locks;

  constructor(options: readonly StorageOptions[], clock: Clock, lockTimeoutMs: number) {
    for (const each of options) this.#storages.set(each.storage, new Storage(each));
    this.locks = new Locks(clock, lockTimeoutMs);
  }

  all(): Storage[] {
    return [...this.#storages.values()];
  }

  find(name: string): Storage | undefined {
    return this.#storages.get(name);
  }

  /** The storage, where it is enabled and on that node. Fails in Proxmox VE's words. */
  on(name: string, node: string): Storage {
    const storage = this.#storages.get(name);
    if (storage === undefined) throw PveError.failed(`storage '${name}' does not exist`);
    if (storage.isDisabled) throw PveError.failed(`storage '${name}' is disabled`);
    if (!storage.isOn(node)) throw PveError.failed(`storage '${name}' is not available on node '${node}'`);
    return storage;
  }

  /** The volumes that a node sees on a storage. */
  volumes(storage: Storage, node: string): Volume[] {
    const prefix = `${storage.options.storage}:`;
    return [...this.#volumes.values()].filter(
      (volume) => volume.volid.startsWith(prefix) && (volume.node === null || volume.node === node),
    );
  }

  volume(volid: string, node: string): Volume | undefined {
    return this.#volumes.get(keyOf(volid, node)) ?? this.#volumes.get(keyOf(volid, null));
  }

  /** Whether a volume has linked clones. */
  hasClones(volume: Volume): boolean {
    return [...this.#volumes.values()].some(
      ({ parent, node }) => parent === volume.volid && node === volume.node,
    );
  }

  add(volume: Volume): Volume {
    this.#volumes.set(keyOf(volume.volid, volume.node), volume);
    return volume;
  }

  remove(volume: Volume): void {
    this.#volumes.delete(keyOf(volume.volid, volume.node));
  }

  usedBytes(storage: Storage, node: string): number {
    return this.volumes(storage, node).reduce((sum, volume) => sum + volume.usedBytes, storage.foreignBytes);
  }

  /** Fails as a full storage does when `bytes` more have no room. */
  checkRoom(storage: Storage, node: string, bytes: number): void {
    if (this.usedBytes(storage, node) + bytes <= storage.totalBytes) return;
    const { type, storage: name } = storage.options;
    if (type === 'lvmthin')
      throw PveError.failed(
        `lvcreate '${name}' error:   Cannot create new thin volume, free space in thin pool ${name} reached threshold.`,
      );
    if (type === 'zfspool') throw PveError.failed(`zfs error: cannot create '${name}': out of space`);
    throw PveError.failed(`unable to create image: No space left on device`);
  }
}

/** Locks that are taken in turn and waited for only so long: ten seconds in Proxmox VE. */
export class Locks {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<string, Waiter[]>();

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Runs `work` while holding `name`. Fails with `can't lock file … - got timeout` after too long a wait. */
  async hold<T>(name: string, timeoutText: string, work: () => Promise<T>): Promise<T> {
    await this.#take(name, timeoutText);
    try {
      return await work();
    } finally {
      this.#giveBack(name);
    }
  }

  /** Turns away everybody who waits. Who holds a lock keeps it. */
  close(): void {
    for (const queue of this.#waiting.values()) {
      for (const { giveUp } of queue.splice(0)) giveUp();
    }
  }

  #take(name: string, timeoutText: string): Promise<void> {
    const queue = this.#waiting.get(name);
    if (queue === undefined) {
      this.#waiting.set(name, []);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        enter: () => {
          cancel();
          resolve();
        },
        giveUp: () => {
          cancel();
          reject(PveError.failed(timeoutText));
        },
      };
      queue.push(waiter);
      const cancel: CancelTimer = this.#clock.schedule(this.#timeoutMs, () => {
        queue.splice(queue.indexOf(waiter), 1);
        waiter.giveUp();
      });
    });
  }

  #giveBack(name: string): void {
    const next = this.#waiting.get(name)?.shift();
    if (next === undefined) this.#waiting.delete(name);
    else next.enter();
  }
}

/** Somebody who waits for a lock. */
interface Waiter {
  readonly enter: () => void;
  readonly giveUp: () => void;
}

function keyOf(volid: string, node: string | null): string {
  return `${node ?? '*'}/${volid}`;
}

function abilities(given: Partial<StorageAbilities>, content: readonly string[]): StorageAbilities {
  return {
    isShared: false,
    isFiles: false,
    canClone: false,
    canSnapshot: false,
    namesBase: false,
    ...given,
    content,
  };
}
