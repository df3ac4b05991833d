/** PURE: what goes into a guest on stdin to change a login. Nothing here is ever part of a command line. */
import { AppError } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';

const USER_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;

/**
 * The line for chpasswd: one user a call, since a batch is not atomic. Throws a plain Error for a user or a password
 * that would become more than one line or another user's (a line break once set root's password).
 */
export function chpasswdLine({ user, password }: { user: string; password: string }): string {
  assertUser(user);
  if (password === '' || /[\0\r\n]/.test(password))
    throw new Error('a password is one line that is not empty');
  return `${user}:${password}\n`;
}

/**
 * Reads user, old and new key from stdin, one a line, and rewrites that user's authorized_keys: without the old key,
 * with the new one, as a finished file that takes the place of the other. A key is known by its base64 part, whatever
 * options or comment stand beside it.
 */
export const AUTHORIZED_KEYS_SCRIPT = [
  'set -eu',
  'umask 077',
  'read -r user; read -r old; read -r line',
  'home=$(getent passwd "$user" | cut -d: -f6)',
  '[ -n "$home" ]',
  'dir=$home/.ssh; file=$dir/authorized_keys; draft=$file.dc-new',
  // Without braces, so that small shells know it too. A folder that is there is not chowned: it could be a link.
  'made=; [ -d "$dir" ] || made=yes',
  '[ -z "$made" ] || mkdir "$dir"; [ -z "$made" ] || chown "$user:" "$dir"',
  '[ -f "$file" ] || : > "$file"',
  'grep -vF -e "$old" "$file" > "$draft" || [ $? = 1 ]',
  'blob=$(printf "%s" "$line" | cut -d" " -f2)',
  'grep -qF -e "$blob" "$draft" || printf "%s\\n" "$line" >> "$draft"',
  'chown "$user:" "$draft"; chmod 600 "$draft"',
  'mv -f "$draft" "$file"',
].join('; ');

/** What the script reads. Throws SSH_KEY_INVALID for a key that is none, a plain Error for a user that is none. */
export function authorizedKeysInput(change: {
  user: string;
  sshPublicKey: string;
  replaces: string;
}): string {
  assertUser(change.user);
  const line = parseSshPublicKey(change.sshPublicKey).line;
  const old = parseSshPublicKey(change.replaces).line.split(' ')[1] ?? '';
  if (old === line.split(' ')[1]) throw new AppError('SSH_KEY_INVALID', 'The new key is the old one.');
  return `${change.user}\n${old}\n${line}\n`;
}

function assertUser(user: string): void {
  if (!USER_NAME.test(user)) throw new Error('this is no name of a user');
}
