/** What cloud-init does with its data on a guest in this process: once per instance, as the real one. */
import type { Random } from '@dc/shared/random';
import { instanceIdOf, type CloudInitData } from './cloud-init.ts';
import { HOST_KEY_FILE, type GuestOs } from './guest-os.ts';

const INSTANCE_ID_FILE = '/var/lib/cloud/data/instance-id';
/** The user of Debian's image, for data that names none. */
const DEFAULT_USER = 'debian';

/** Runs cloud-init. Does nothing for an instance that it has run for. */
export function applyCloudInit(os: GuestOs, data: CloudInitData, random: Random): void {
  const instanceId = instanceIdOf(data);
  if (os.read(INSTANCE_ID_FILE)?.trim() === instanceId) return;
  os.write('/etc/hostname', `${data.hostname}\n`);
  os.write('/etc/hosts', `127.0.1.1 ${data.fqdn} ${data.hostname}\n127.0.0.1 localhost\n`);
  os.remove(HOST_KEY_FILE);
  os.makeHostKey(random);
  const user = os.addUser(data.user ?? DEFAULT_USER);
  if (user.name !== 'root')
    os.write('/etc/sudoers.d/90-cloud-init-users', `${user.name} ALL=(ALL) NOPASSWD:ALL\n`);
  if (data.passwordHash !== null) os.setPasswordHash(user.name, data.passwordHash);
  if (data.sshKeys.length > 0) addKeys(os, `${user.home}/.ssh/authorized_keys`, data.sshKeys);
  os.write(INSTANCE_ID_FILE, `${instanceId}\n`);
}

/** cloud-init adds to the keys that are there; a template that has some hands them on to every clone. */
function addKeys(os: GuestOs, file: string, keys: readonly string[]): void {
  const present = (os.read(file) ?? '').split('\n').filter((line) => line !== '');
  os.write(file, `${[...new Set([...present, ...keys])].join('\n')}\n`, 0o600);
}
