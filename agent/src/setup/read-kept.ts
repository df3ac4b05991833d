/** What an earlier run of the set-up, finished or not, has left in the key directory. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { verifyDelegation } from '@dc/shared/delegation/delegation';
import { AppError, isAppError } from '@dc/shared/errors';
import { loadAgentKey, loadSealSecret } from '../config/key-files.ts';
import { AGENT_KEY_FILE, DELEGATION_FILE, SEAL_KEY_FILE } from '../config/paths.ts';

export interface Kept {
  readonly hasAgentKey: boolean;
  /** The delegation of this machine's key under this grant; null where there is none. */
  readonly delegation: string | null;
}

/** Reads it. KEY_FILE_INVALID where the directory belongs to an agent of another provider. */
export function readKept(keyDir: string, token: { grant: string; sealSecret: Uint8Array }): Kept {
  if (existsSync(join(keyDir, SEAL_KEY_FILE))) {
    const held = Buffer.from(loadSealSecret(keyDir).reveal());
    if (!held.equals(token.sealSecret)) {
      throw new AppError('KEY_FILE_INVALID', `${keyDir} holds the keys of another provider's agent.`, {
        remedy: 'Choose another --output and --state-dir.',
      });
    }
  }
  if (!existsSync(join(keyDir, AGENT_KEY_FILE))) return { hasAgentKey: false, delegation: null };
  const { publicKey } = loadAgentKey(keyDir);
  return { hasAgentKey: true, delegation: readDelegation(keyDir, token.grant, publicKey) };
}

function readDelegation(keyDir: string, grant: string, agentKey: string): string | null {
  const path = join(keyDir, DELEGATION_FILE);
  if (!existsSync(path)) return null;
  const delegation = readFileSync(path, 'utf8').trim();
  try {
    return verifyDelegation(grant, delegation).agentKey === agentKey ? delegation : null;
  } catch (error) {
    if (isAppError(error, 'GRANT_INVALID')) return null; // Of another token: a new one is made.
    throw error;
  }
}
