/** Where things are on a machine, and what the files are called. The configuration can change the directories. */
import { dirname, join, resolve } from 'node:path';

export const CONFIG_FILE_DEFAULT = '/etc/dc-agent/dc-agent.toml';
export const STATE_DIR_DEFAULT = '/var/lib/dc-agent';

/** Files of the key directory. The first two are secret; the others anybody may read, and only check. */
export const AGENT_KEY_FILE = 'agent.key';
export const SEAL_KEY_FILE = 'seal.key';
export const GRANT_FILE = 'grant.jws';
export const DELEGATION_FILE = 'delegation.jws';

/** The journal of an agent with this state directory. */
export const journalFile = (stateDir: string): string => join(stateDir, 'journal.sqlite');

/** Where the running agent listens for the operator's commands. */
export const controlSocket = (stateDir: string): string => join(stateDir, 'control.sock');

/** Where a driver keeps its own files. */
export const driverDir = (stateDir: string, kind: string): string => join(stateDir, 'drivers', kind);

/** A path of the configuration file: relative ones count from the file's own directory. */
export const resolveFrom = (configFile: string, path: string): string => resolve(dirname(configFile), path);
