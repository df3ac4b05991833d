/** The programs of this machine that sessions are made of. */
import { access, constants } from 'node:fs/promises';

/** Absolute paths; null where the machine has none. */
export interface SystemTools {
  readonly shell: string;
  /** util-linux's `script`, which makes a terminal without a native module. */
  readonly script: string | null;
  readonly stty: string | null;
  /** OpenSSH's, for scp and sftp. */
  readonly sftpServer: string | null;
}

const PLACES = {
  shell: ['/bin/bash', '/usr/bin/bash'],
  script: ['/usr/bin/script', '/bin/script'],
  stty: ['/usr/bin/stty', '/bin/stty'],
  sftpServer: [
    '/usr/lib/openssh/sftp-server', // Debian, Ubuntu
    '/usr/libexec/openssh/sftp-server', // Fedora, Red Hat
    '/usr/lib/ssh/sftp-server', // Arch, Alpine, SUSE
    '/usr/libexec/sftp-server', // macOS
  ],
} as const;

/** Looks for them. `platform` is Node's name of the operating system. */
export async function findSystemTools(platform: NodeJS.Platform = process.platform): Promise<SystemTools> {
  const [shell, script, stty, sftpServer] = await Promise.all([
    firstOf(PLACES.shell),
    // Elsewhere there is another program of this name with other arguments.
    platform === 'linux' ? firstOf(PLACES.script) : null,
    firstOf(PLACES.stty),
    firstOf(PLACES.sftpServer),
  ]);
  return { shell: shell ?? '/bin/sh', script, stty, sftpServer };
}

async function firstOf(paths: readonly string[]): Promise<string | null> {
  for (const path of paths) {
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not there, or not for us: try the next place.
    }
  }
  return null;
}
