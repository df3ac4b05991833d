/**
 * What the `local` driver keeps on disk: one folder for each instance with `instance.json` and the renter's home.
 *
 * INVARIANTS:
 * - An instance exists exactly when `<id>/` does. It is made as `.making-<id>/` and renamed when everything in it
 *   is on the disk, so that a crash leaves all of it or a leftover that nobody was told about.
 * - `instance.json` is replaced by renaming a finished file over it: it is never half written.
 * - Removal empties the home first and renames the rest to `.gone-<id>/`: until then the instance is listed.
 */
import { chmod, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Type, type Static } from 'typebox';
import Value from 'typebox/value';
import type { Random } from '@dc/shared/random';
import { isOfContract } from '../instance-id.ts';
import { PasswordHashSchema } from './password-hash.ts';

const RecordSchema = Type.Object({
  format: Type.Literal(1),
  id: Type.String(),
  contractId: Type.String(),
  token: Type.String(),
  seal: Type.Union([Type.String(), Type.Null()]),
  /** `destroying`: somebody who may has begun to destroy it, and it shall not come back. */
  phase: Type.Union([Type.Literal('ready'), Type.Literal('destroying')]),
  power: Type.Union([Type.Literal('running'), Type.Literal('stopped')]),
  port: Type.Integer({ minimum: 1, maximum: 65_535 }),
  /** 32 bytes in base64: the private half of the host key. */
  hostKeySeed: Type.String({ minLength: 44, maxLength: 44 }),
  /** Missing until one was set. */
  password: Type.Optional(PasswordHashSchema),
  spec: Type.Object({
    cpu: Type.Number(),
    memoryMb: Type.Number(),
    diskGb: Type.Number(),
    operatingSystem: Type.String(),
    sshPublicKey: Type.String(),
    hostname: Type.String(),
  }),
});

/** One instance, as `instance.json` has it. */
export type InstanceRecord = Static<typeof RecordSchema>;

/** What reading an instance can come to. */
export type StoredInstance =
  | { readonly kind: 'record'; readonly record: InstanceRecord }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreadable'; readonly reason: string; readonly cause?: unknown };

const MAKING = '.making-';
const GONE = '.gone-';
const RECORD_FILE = 'instance.json';
const STORE_FILE = 'store.json';
const PRIVATE_DIR = 0o700;
const PRIVATE_FILE = 0o600;

export class InstanceStore {
  /** Where the instances' folders are. */
  readonly folder: string;
  /** Random, made with the folder: tells an empty folder from the wrong folder (an unmounted disk, a typo). */
  readonly id: string;

  private constructor(folder: string, id: string) {
    this.folder = folder;
    this.id = id;
  }

  /** Opens or makes the store in `stateDir`, and clears away what a crash left half made or half removed. */
  static async open(stateDir: string, random: Random): Promise<InstanceStore> {
    const folder = join(stateDir, 'instances');
    await mkdir(folder, { recursive: true, mode: PRIVATE_DIR });
    const store = new InstanceStore(folder, await readOrMakeStoreId(stateDir, random));
    for (const name of await readdir(folder)) {
      if (name.startsWith(MAKING) || name.startsWith(GONE)) await removeTree(join(folder, name));
    }
    return store;
  }

  /** The renter's home of an instance. */
  homeOf(id: string): string {
    return join(this.folder, id, 'home');
  }

  /** The ids of all instances that there are. Throws when the folder cannot be read. */
  async ids(): Promise<string[]> {
    return (await readdir(this.folder)).filter((name) => !name.startsWith('.')).sort();
  }

  /** Reads one instance. `absent` only when its folder is proved not to be in the readable folder of instances. */
  async read(id: string): Promise<StoredInstance> {
    if (id === '' || id.startsWith('.') || id.includes('/')) return { kind: 'absent' };
    try {
      const text = await readFile(join(this.folder, id, RECORD_FILE), 'utf8');
      const record: unknown = JSON.parse(text);
      // A record that was copied here from another instance is not this one's.
      const fits =
        Value.Check(RecordSchema, record) && record.id === id && isOfContract(id, record.contractId);
      if (fits) return { kind: 'record', record };
      return { kind: 'unreadable', reason: 'its record is not one that this version has written for it' };
    } catch (cause) {
      if (await this.#isProvedAbsent(id)) return { kind: 'absent' };
      return { kind: 'unreadable', reason: 'its record cannot be read', cause };
    }
  }

  /**
   * Makes an instance with its home, durably. `isAbandoned` is asked before the step that makes it exist; when it
   * says yes, nothing is left and the answer is false.
   */
  async make(record: InstanceRecord, profile: string, isAbandoned: () => boolean): Promise<boolean> {
    const folder = join(this.folder, MAKING + record.id);
    await mkdir(join(folder, 'home'), { recursive: true, mode: PRIVATE_DIR });
    await Promise.all([
      writeDurably(join(folder, RECORD_FILE), JSON.stringify(record)),
      writeFile(join(folder, 'home', '.profile'), profile),
    ]);
    if (isAbandoned()) {
      await removeTree(folder);
      return false;
    }
    await syncFolder(folder);
    await rename(folder, join(this.folder, record.id));
    await syncFolder(this.folder);
    return true;
  }

  /** Replaces the record of an instance that exists, durably. */
  async write(record: InstanceRecord): Promise<void> {
    const folder = join(this.folder, record.id);
    const draft = join(folder, `${RECORD_FILE}.new`);
    await writeDurably(draft, JSON.stringify(record));
    await rename(draft, join(folder, RECORD_FILE));
    await syncFolder(folder);
  }

  /** Removes an instance that exists, with everything in it, durably. */
  async remove(id: string): Promise<void> {
    await removeTree(this.homeOf(id));
    const gone = join(this.folder, GONE + id);
    await rename(join(this.folder, id), gone);
    await removeTree(gone);
    await syncFolder(this.folder);
  }

  async #isProvedAbsent(id: string): Promise<boolean> {
    try {
      return !(await readdir(this.folder)).includes(id);
    } catch {
      // A folder that cannot be read proves nothing.
      return false;
    }
  }
}

async function readOrMakeStoreId(stateDir: string, random: Random): Promise<string> {
  const path = join(stateDir, STORE_FILE);
  try {
    const content = JSON.parse(await readFile(path, 'utf8')) as { id: string };
    return content.id;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const id = Buffer.from(random.bytes(16)).toString('hex');
  await writeDurably(`${path}.new`, JSON.stringify({ id }));
  await rename(`${path}.new`, path);
  await syncFolder(stateDir);
  return id;
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', PRIVATE_FILE);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the names in a folder durable: a new name is lost in a power cut until then. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Removes a folder with everything in it, also where a renter took the permissions off his own folders. */
async function removeTree(path: string): Promise<void> {
  const options = { recursive: true, force: true, maxRetries: 3, retryDelay: 20 };
  try {
    await rm(path, options);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    await openFolders(path);
    await rm(path, options);
  }
}

async function openFolders(path: string): Promise<void> {
  await chmod(path, PRIVATE_DIR);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    // Links are not followed: they may point out of the home.
    if (entry.isDirectory()) await openFolders(join(path, entry.name));
  }
}
