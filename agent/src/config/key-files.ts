/**
 * The agent's two secrets on disk: the seed of its key and the provider's seal secret, each 32 bytes in hex in a
 * file of its own. A file that somebody else could read or replace is refused with the line that mends it.
 */
import { closeSync, fstatSync, openSync, readFileSync, statSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { seedFromHex, SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { AGENT_KEY_FILE, SEAL_KEY_FILE } from './paths.ts';

/** 32 bytes that print as `[secret]`, wherever they are printed. */
export class Secret {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The bytes themselves. Hand them on, do not keep them. */
  reveal(): Uint8Array {
    return this.#bytes;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }
}

/** The agent's secrets. */
export interface AgentKeys {
  readonly agentKey: SigningKey;
  readonly sealSecret: Secret;
}

/** Reads both. Throws KEY_FILE_INVALID or KEY_FILE_UNSAFE, never with anything of what is in a file. */
export function loadKeys(keyDir: string): AgentKeys {
  return { agentKey: loadAgentKey(keyDir), sealSecret: loadSealSecret(keyDir) };
}

/** Reads the agent's own key. */
export function loadAgentKey(keyDir: string): SigningKey {
  return SigningKey.fromSeed(readSecretFile(join(keyDir, AGENT_KEY_FILE)));
}

/** Reads the provider's seal secret. */
export function loadSealSecret(keyDir: string): Secret {
  return new Secret(readSecretFile(join(keyDir, SEAL_KEY_FILE)));
}

/** Reads one 32-byte secret in hex, after checking who else could have read or written it. */
export function readSecretFile(path: string): Uint8Array {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const why = missing ? 'is missing' : `cannot be opened (${(error as NodeJS.ErrnoException).code ?? '?'})`;
    throw new AppError('KEY_FILE_INVALID', `The key file ${path} ${why}.`, { cause: error });
  }
  try {
    assertSafe(path, fstatSync(fd), statSync(dirname(path)));
    return seedFromHex(readFileSync(fd, 'latin1'));
  } catch (error) {
    if (error instanceof AppError) throw error;
    // The parser's own words could hold a part of the file: they are left out.
    throw new AppError('KEY_FILE_INVALID', `The key file ${path} does not hold 32 bytes in hex.`);
  } finally {
    closeSync(fd);
  }
}

const WRITABLE_BY_OTHERS = 0o022;
const OPEN_TO_OTHERS = 0o077;
const ROOT = 0;

function assertSafe(path: string, file: Stats, directory: Stats): void {
  const parent = dirname(path);
  if (!file.isFile()) throw new AppError('KEY_FILE_INVALID', `${path} is not a file.`);
  if ((file.mode & OPEN_TO_OTHERS) !== 0) {
    throw unsafe(`The key file ${path} is open to other users.`, `chmod 600 ${quote(path)}`);
  }
  if ((directory.mode & WRITABLE_BY_OTHERS) !== 0) {
    const detail = `Other users can put another key into ${parent}.`;
    throw unsafe(detail, `chmod go-w ${quote(parent)}`);
  }
  const we = process.geteuid?.() ?? ROOT;
  // Root may look at a service user's keys (doctor under sudo); then file and directory must be of one owner.
  const owners = we === ROOT ? [ROOT, directory.uid] : [ROOT, we];
  for (const [name, uid] of [[path, file.uid] as const, [parent, directory.uid] as const]) {
    if (!owners.includes(uid)) {
      const detail = `${name} belongs to another user (id ${String(uid)}).`;
      throw unsafe(detail, `chown ${String(we)} ${quote(name)}`);
    }
  }
}

function unsafe(detail: string, line: string): AppError {
  return new AppError('KEY_FILE_UNSAFE', detail, { remedy: `Run: ${line}` });
}

/** A path as a shell takes it. */
function quote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
