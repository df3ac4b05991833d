import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../lib/run-command.ts';
import { systemClock } from '../lib/system-clock.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { AUTHORIZED_KEYS_SCRIPT, authorizedKeysInput, chpasswdLine } from './guest-scripts.ts';
import { keyPair } from './testing/guest-server.ts';

describe('The line for chpasswd', () => {
  it('is the user and the password, colons in the password and all', () => {
    expect(chpasswdLine({ user: 'debian', password: 'a:b c' })).toBe('debian:a:b c\n');
  });

  it.each(['', 'x\nroot:owned', 'x\r', 'x\0y'])('is not made of the password %j', (password) => {
    expect(() => chpasswdLine({ user: 'debian', password })).toThrow('one line');
  });

  it.each(['', 'root:x', 'a b', '-x', 'Debian', 'x\nroot', 'ü'])('is not made for the user %j', (user) => {
    expect(() => chpasswdLine({ user, password: 'x' })).toThrow('no name of a user');
  });
});

const tempDir = tempDirs();
const OLD = keyPair(1).publicLine;
const NEW = keyPair(2).publicLine;
const FRIEND = keyPair(3).publicLine;

/** A guest's file system in a folder, with a user database and a chown of its own. */
async function aGuest(authorizedKeys: string | null) {
  const folder = await tempDir();
  const home = join(folder, 'home');
  const programs = join(folder, 'bin');
  mkdirSync(home);
  mkdirSync(programs);
  const script = (name: string, text: string): void => {
    writeFileSync(join(programs, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(programs, name), 0o755);
  };
  script('getent', `[ "$2" = debian ] && echo "debian:x:1000:1000::${home}:/bin/sh"`);
  script('chown', 'exit 0');
  const file = join(home, '.ssh', 'authorized_keys');
  if (authorizedKeys !== null) {
    mkdirSync(join(home, '.ssh'));
    writeFileSync(file, authorizedKeys, { mode: 0o644 });
  }
  const rotate = async (input = authorizedKeysInput({ user: 'debian', sshPublicKey: NEW, replaces: OLD })) =>
    (
      await runCommand(
        { file: '/bin/sh', args: ['-c', AUTHORIZED_KEYS_SCRIPT], env: { PATH: `${programs}:/usr/bin:/bin` } },
        { timeoutMs: 10_000, outputBytesMax: 10_000, input },
        systemClock,
        new AbortController().signal,
      )
    ).exitCode;
  return { rotate, file, read: () => readFileSync(file, 'utf8') };
}

describe('The script for authorized_keys', () => {
  it('takes the old key away whatever stands beside it, adds the new one, and leaves all others', async () => {
    const others = `# keys of friends\nfrom="10.0.0.0/8" ${FRIEND} friend\n`;
    const guest = await aGuest(`${OLD} me@old\n${others}no-pty ${OLD}\n`);
    expect(await guest.rotate()).toBe(0);
    expect(guest.read()).toBe(`${others}${NEW}\n`);
    expect(statSync(guest.file).mode & 0o777).toBe(0o600);
  });

  it('comes to the same when it runs again', async () => {
    const guest = await aGuest(`${OLD}\n`);
    for (let times = 0; times < 3; times += 1) expect(await guest.rotate()).toBe(0);
    expect(guest.read()).toBe(`${NEW}\n`);
  });

  it('makes the file where there is none', async () => {
    const guest = await aGuest(null);
    expect(await guest.rotate()).toBe(0);
    expect(guest.read()).toBe(`${NEW}\n`);
  });

  it('fails for a user who is not there, and touches nothing', async () => {
    const guest = await aGuest(`${OLD}\n`);
    expect(await guest.rotate(`nobody\nAAAA\n${NEW}\n`)).not.toBe(0);
    expect(guest.read()).toBe(`${OLD}\n`);
  });

  it('gets no key that is none, and not the old one as the new one', () => {
    const change = { user: 'debian', sshPublicKey: NEW, replaces: OLD };
    expect(() => authorizedKeysInput({ ...change, sshPublicKey: 'nonsense' })).toThrow();
    expect(() => authorizedKeysInput({ ...change, sshPublicKey: `${NEW}\nroot` })).toThrow();
    expect(() => authorizedKeysInput({ ...change, sshPublicKey: OLD })).toThrow('is the old one');
    expect(() => authorizedKeysInput({ ...change, user: 'x; id' })).toThrow('no name of a user');
  });
});
