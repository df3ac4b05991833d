/**
 * What is on the disk of a guest in this process: a few files, as a small Debian has them. Files are the only truth:
 * users, keys, host keys, machine-id and host name are read from them each time, so that a change by cloud-init, by
 * the guest agent, by `chpasswd` or by a script is the same change.
 */
import type { Random } from '@dc/shared/random';
import { describeHostKey, openSshPrivateKey, publicKeyOfSeed } from '../../provisioners/ssh-host-key.ts';
import { cryptSha256, verifyCrypt } from './crypt.ts';

/** One file. */
export interface GuestFile {
  readonly content: string;
  readonly mode: number;
}

/** A line of /etc/passwd. */
export interface GuestUser {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
}

export const HOST_KEY_FILE = '/etc/ssh/ssh_host_ed25519_key';
const FIRST_UID = 1_000;
const FILE_MODE = 0o644;
const PRIVATE_MODE = 0o600;

export class GuestOs {
  readonly files: Map<string, GuestFile>;
  readonly folders: Set<string>;

  constructor(files = new Map<string, GuestFile>(), folders = new Set<string>(['/'])) {
    this.files = files;
    this.folders = folders;
  }

  /** A freshly made cloud image: root is locked, there are no host keys and no machine-id. */
  static image(machineId = ''): GuestOs {
    const os = new GuestOs();
    for (const folder of [
      '/etc',
      '/etc/ssh',
      '/home',
      '/root',
      '/tmp',
      '/run',
      '/var/lib/cloud',
      '/etc/sudoers.d',
    ])
      os.makeFolder(folder);
    os.write('/etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n');
    os.write('/etc/shadow', 'root:*:19000:0:99999:7:::\n', PRIVATE_MODE);
    os.write('/etc/hostname', 'localhost\n');
    os.write('/etc/machine-id', machineId === '' ? '' : `${machineId}\n`);
    os.write('/etc/os-release', 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n');
    return os;
  }

  /** Everything on it, to be changed apart from it. */
  copy(): GuestOs {
    return new GuestOs(new Map(this.files), new Set(this.folders));
  }

  read(path: string): string | undefined {
    return this.files.get(normalize(path))?.content;
  }

  write(path: string, content: string, mode = this.files.get(normalize(path))?.mode ?? FILE_MODE): void {
    const name = normalize(path);
    this.makeFolder(parentOf(name));
    this.files.set(name, { content, mode });
  }

  makeFolder(path: string): void {
    const parts = normalize(path)
      .split('/')
      .filter((part) => part !== '');
    for (let length = 1; length <= parts.length; length++)
      this.folders.add(`/${parts.slice(0, length).join('/')}`);
  }

  /** Removes a file, or a folder with everything in it. Whether there was something. */
  remove(path: string): boolean {
    const name = normalize(path);
    let found = this.files.delete(name);
    for (const each of [...this.files.keys()])
      if (each.startsWith(`${name}/`)) found = this.files.delete(each) || found;
    for (const each of [...this.folders])
      if (each === name || each.startsWith(`${name}/`)) found = this.folders.delete(each) || found;
    return found;
  }

  get hostname(): string {
    return this.read('/etc/hostname')?.trim() ?? '';
  }

  get machineId(): string {
    return this.read('/etc/machine-id')?.trim() ?? '';
  }

  users(): GuestUser[] {
    return lines(this.read('/etc/passwd')).map((line) => {
      const [name = '', , uid = '', , , home = ''] = line.split(':');
      return { name, uid: Number(uid), home };
    });
  }

  user(name: string): GuestUser | undefined {
    return this.users().find((user) => user.name === name);
  }

  /** Makes a user with a home, unless there is one. */
  addUser(name: string): GuestUser {
    const existing = this.user(name);
    if (existing !== undefined) return existing;
    const uid = this.users().reduce((most, user) => Math.max(most, user.uid), FIRST_UID - 1) + 1;
    this.write(
      '/etc/passwd',
      `${this.read('/etc/passwd') ?? ''}${name}:x:${uid}:${uid}::/home/${name}:/bin/bash\n`,
    );
    this.write('/etc/shadow', `${this.read('/etc/shadow') ?? ''}${name}:!:19000:0:99999:7:::\n`);
    this.makeFolder(`/home/${name}`);
    return { name, uid, home: `/home/${name}` };
  }

  removeUser(name: string): void {
    for (const file of ['/etc/passwd', '/etc/shadow']) {
      this.write(
        file,
        lines(this.read(file))
          .filter((line) => !line.startsWith(`${name}:`))
          .map((line) => `${line}\n`)
          .join(''),
      );
    }
  }

  /** Sets a password hash; `!` and `*` lock. */
  setPasswordHash(name: string, hash: string): void {
    const changed = lines(this.read('/etc/shadow')).map((line) => {
      const [user, , ...rest] = line.split(':');
      return user === name ? [user, hash, ...rest].join(':') : line;
    });
    this.write('/etc/shadow', changed.map((line) => `${line}\n`).join(''));
  }

  setPassword(name: string, password: string, random: Random): void {
    this.setPasswordHash(name, cryptSha256(password, Buffer.from(random.bytes(6)).toString('hex')));
  }

  passwordHash(name: string): string {
    return (
      lines(this.read('/etc/shadow'))
        .find((line) => line.startsWith(`${name}:`))
        ?.split(':')[1] ?? '*'
    );
  }

  /** Whether a password lets a user in. */
  isPassword(name: string, password: string): boolean {
    return verifyCrypt(password, this.passwordHash(name));
  }

  /** `type base64` of each key that may log in as a user. */
  authorizedKeys(name: string): string[] {
    const home = this.user(name)?.home ?? '/nonexistent';
    return lines(this.read(`${home}/.ssh/authorized_keys`)).flatMap((line) => {
      const match = /(?:^|\s)((?:ssh-|ecdsa-|sk-)\S+) ([A-Za-z0-9+/=]+)/.exec(line);
      return match === null ? [] : [`${match[1] ?? ''} ${match[2] ?? ''}`];
    });
  }

  /** Makes the host key that is missing, as `ssh-keygen -A` does. */
  makeHostKey(random: Random): void {
    if (this.read(HOST_KEY_FILE) !== undefined) return;
    const seed = random.bytes(32);
    this.write(HOST_KEY_FILE, openSshPrivateKey(seed), PRIVATE_MODE);
    this.write(
      `${HOST_KEY_FILE}.pub`,
      `${describeHostKey(publicKeyOfSeed(seed)).hostKey} root@${this.hostname}\n`,
    );
  }

  /** Makes the machine-id that is missing, as systemd does at boot. */
  makeMachineId(random: Random): void {
    if (this.machineId === '')
      this.write('/etc/machine-id', `${Buffer.from(random.bytes(16)).toString('hex')}\n`);
  }
}

/** An absolute path without `.`, `..` and doubled slashes. */
export function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

function lines(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '');
}
