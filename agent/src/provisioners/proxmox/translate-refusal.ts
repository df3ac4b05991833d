/** What a refusal of Proxmox means for the agent, and what the operator can do. Its own words go into the cause. PURE. */
import { AppError, isAppError } from '@dc/shared/errors';
import { PveTaskFailure } from './await-task.ts';
import { PveRefusal } from './pve-client.ts';

/** The VM is not on that node, by the node's own word. */
export const saysNotThere = (error: unknown): boolean =>
  error instanceof PveRefusal && error.status === 500 && /does not exist/.test(error.message);

/** The VMID is somebody's already: our clone was not begun by this call. */
export const saysTaken = (error: unknown): boolean =>
  error instanceof PveRefusal && /already exists/.test(`${error.message} ${error.fields['newid'] ?? ''}`);

/** Somebody else held a lock for too long: the storage or the VM is busy, and nothing else is wrong. */
export const saysBusy = (error: unknown): boolean =>
  (error instanceof PveRefusal || error instanceof PveTaskFailure) &&
  /got timeout|can't lock file|trying to acquire lock/.test(
    error instanceof PveTaskFailure ? [error.message, ...error.log].join('\n') : error.message,
  );

const DENIED = /\((\/[\w./-]*), ([\w.|]+)\)/;

interface Meaning {
  readonly when: RegExp;
  readonly code: 'PROVISIONER_UNAVAILABLE' | 'PROVISIONER_EXHAUSTED' | 'PROVISIONER_FAILED';
  readonly detail: string;
  readonly remedy?: string;
}

const MEANINGS: readonly Meaning[] = [
  {
    when: /no quorum/,
    code: 'PROVISIONER_UNAVAILABLE',
    detail: 'The Proxmox cluster has no quorum: nothing can be changed.',
    remedy: 'Bring enough nodes back: pvecm status shows which are missing.',
  },
  {
    when: /got timeout|can't lock file/,
    code: 'PROVISIONER_UNAVAILABLE',
    detail: 'Proxmox waited too long for a lock.',
  },
  {
    when: /no space left|out of (?:data |metadata )?space|free space in thin pool|insufficient free space|not enough free space|storage is full|exceeds? .*free|usage exceeds/i,
    code: 'PROVISIONER_EXHAUSTED',
    detail: 'The storage has no room left.',
  },
  {
    when: /VM is locked/,
    code: 'PROVISIONER_UNAVAILABLE',
    detail: 'The VM is locked by a task of Proxmox.',
    remedy: 'If no task works on it any more: qm unlock and its VMID, on its node.',
  },
  {
    when: /protection mode enabled/,
    code: 'PROVISIONER_FAILED',
    detail: 'The VM is protected against removal.',
    remedy: 'Take the protection off: qm set VMID --protection 0.',
  },
  {
    when: /storage '[^']*' (?:does not exist|is disabled|is not available)|storage .* is not online/,
    code: 'PROVISIONER_FAILED',
    detail: 'A storage that the template or the configuration names is not there.',
    remedy: 'Compare pvesm status with the setting storage and the disks of the template.',
  },
  {
    when: /bridge '[^']*' does not exist/,
    code: 'PROVISIONER_FAILED',
    detail: 'The bridge of the network card is not there.',
    remedy: 'Compare the bridges of the node with the setting bridge.',
  },
  {
    when: /hostname lookup|no such (?:cluster )?node/,
    code: 'PROVISIONER_FAILED',
    detail: 'The cluster has no node of that name.',
    remedy: 'Write the names as pvecm nodes shows them, without a domain.',
  },
  {
    when: /pool '[^']*' does not exist/,
    code: 'PROVISIONER_FAILED',
    detail: 'The resource pool is not there.',
    remedy: 'Make it, or correct the setting pool: pvesh create /pools --poolid NAME.',
  },
];

/** An AppError for whatever a call or a task failed with. Errors that are not of Proxmox stay what they are. */
export function translateRefusal(error: unknown): unknown {
  if (isAppError(error)) return error;
  if (!(error instanceof PveRefusal) && !(error instanceof PveTaskFailure)) return error;
  const status = error instanceof PveRefusal ? error.status : 500;
  if (status === 401)
    return new AppError('PROVISIONER_FAILED', 'Proxmox does not accept the API token.', {
      remedy: 'Make a new one with pveum user token add, and put it into the token file.',
      cause: error,
    });
  if (status === 403) return denied(error);
  if (status >= 595)
    return new AppError('PROVISIONER_UNAVAILABLE', 'A node of the Proxmox cluster does not answer.', {
      cause: error,
    });
  const words = [error.message, ...(error instanceof PveTaskFailure ? error.log : [])].join('\n');
  const meaning = MEANINGS.find(({ when }) => when.test(words));
  if (meaning === undefined)
    return new AppError('PROVISIONER_FAILED', 'Proxmox could not do it.', { cause: error });
  const { code, detail, remedy } = meaning;
  return new AppError(code, detail, { cause: error, ...(remedy === undefined ? {} : { remedy }) });
}

function denied(error: Error): AppError {
  const [, path, privileges] = DENIED.exec(error.message) ?? [];
  if (path === undefined || privileges === undefined)
    return new AppError('PROVISIONER_FAILED', 'The API token may not do this.', { cause: error });
  return missingPrivilege(path, privileges, error);
}

/** The error for a privilege that the token lacks (`A|B`: one of them), with the commands that give it. */
export function missingPrivilege(path: string, privileges: string, cause?: unknown): AppError {
  const [privilege = privileges] = privileges.split('|');
  const detail = `The API token lacks ${privileges.replaceAll('|', ' or ')} on ${path}.`;
  return new AppError('PROVISIONER_FAILED', detail, {
    remedy: `Add it to the token's role (pveum role modify ROLE --append --privs ${privilege}), or give the role there: pveum acl modify ${path} --tokens 'USER@REALM!NAME' --roles ROLE.`,
    cause,
  });
}
