/** Logs in with the system's own `ssh`, checking the host key that the contract names. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { WireAccess } from '@dc/shared/wire/contract';

const run = promisify(execFile);

/** A renter's SSH key pair in a folder of its own. */
export interface SshIdentity {
  publicKey: string;
  folder: string;
  keyFile: string;
  remove(): void;
}

/** Makes a key pair with ssh-keygen, in `folder` or in a temporary one. */
export async function makeSshIdentity(folder = mkdtempSync(join(tmpdir(), 'dc-ssh-'))): Promise<SshIdentity> {
  const keyFile = join(folder, 'id_ed25519');
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'renter', '-f', keyFile]);
  return {
    publicKey: readFileSync(`${keyFile}.pub`, 'utf8').trim(),
    folder,
    keyFile,
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What a command on the instance printed. Rejects when the login or the command fails, with ssh's own words. */
export async function sshRun(identity: SshIdentity, access: WireAccess, command: string): Promise<string> {
  const knownHosts = join(identity.folder, `known_hosts_${String(access.port)}`);
  writeFileSync(knownHosts, `[${access.host}]:${String(access.port)} ${access.host_key}\n`);
  const { stdout } = await run(
    'ssh',
    [
      ...['-i', identity.keyFile, '-p', String(access.port)],
      ...['-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=yes'],
      ...['-o', `UserKnownHostsFile=${knownHosts}`, '-o', 'ConnectTimeout=10', '-F', '/dev/null'],
      `${access.user}@${access.host}`,
      command,
    ],
    { timeout: 30_000 },
  );
  return stdout;
}
