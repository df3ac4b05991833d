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
  const knownHosts = join(
    identity.folder,
    `known_hosts_${access.host.replaceAll(':', '_')}_${String(access.port)}`,
  );
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

/** As `sshRun`, with a password, which the system's `ssh` asks a program for. */
export async function sshRunByPassword(
  folder: string,
  { access, password }: { access: WireAccess; password: string },
  command: string,
): Promise<string> {
  const knownHosts = join(folder, 'known_hosts');
  const askpass = join(folder, 'askpass');
  writeFileSync(knownHosts, `[${access.host}]:${String(access.port)} ${access.host_key}\n`);
  writeFileSync(askpass, '#!/bin/sh\ncat "$DC_TEST_PASSWORD_FILE"\n', { mode: 0o700 });
  writeFileSync(join(folder, 'password'), password, { mode: 0o600 });
  const { stdout } = await run(
    'ssh',
    [
      ...['-o', 'PubkeyAuthentication=no', '-o', 'NumberOfPasswordPrompts=1', '-p', String(access.port)],
      ...['-o', 'StrictHostKeyChecking=yes', '-o', `UserKnownHostsFile=${knownHosts}`],
      ...['-o', 'ConnectTimeout=10', '-F', '/dev/null', `${access.user}@${access.host}`, command],
    ],
    {
      timeout: 30_000,
      env: {
        PATH: '/usr/bin:/bin',
        SSH_ASKPASS: askpass,
        SSH_ASKPASS_REQUIRE: 'force',
        DC_TEST_PASSWORD_FILE: join(folder, 'password'),
      },
    },
  );
  return stdout;
}
