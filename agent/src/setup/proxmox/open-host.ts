/** Opens the machine that set-up works on: this one, or another one over SSH with a pinned host key. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { CommandWorld } from '../../lib/command.ts';
import type { Host } from './host.ts';
import { LocalHost } from './local-host.ts';
import {
  assertHostKey,
  knownHostsLine,
  parseSshTarget,
  seeHostKey,
  SshHost,
  type SshTarget,
} from './ssh-host.ts';

/** Commands on this machine; `ssh` among them finds the operator's agent. */
export function openHere({ environment, clock }: CommandWorld): Host {
  const { path, sshAuthSock } = environment;
  const agent: Record<string, string> = sshAuthSock === null ? {} : { SSH_AUTH_SOCK: sshAuthSock };
  return new LocalHost({ PATH: path, LANG: 'C.UTF-8', ...agent }, clock);
}

/** A machine to be reached over SSH. */
export interface SshRequest {
  readonly text: string;
  /** SHA256:…; null: `confirm` is asked. */
  readonly expected: string | null;
  readonly here: Host;
  readonly clock: Clock;
}

/** Looks at the host key first, and trusts exactly that one from then on. `close` removes what it has put into /tmp. */
export async function openSsh(
  { text, expected, here, clock }: SshRequest,
  confirm: (message: string) => Promise<boolean>,
): Promise<{ host: Host; target: SshTarget; close: () => void }> {
  const target = parseSshTarget(text);
  const seen = await seeHostKey(target, clock, new AbortController().signal);
  if (expected !== null) assertHostKey(seen, expected);
  else if (
    !(await confirm(`${target.host} shows the SSH host key ${seen.fingerprint}. Is that the right one?`))
  )
    throw new AppError(
      'SETUP_HOST_UNSUITABLE',
      `Nobody says that ${seen.fingerprint} is the key of ${target.host}.`,
      {
        remedy: `Compare it on the host, then add: --ssh-host-key ${seen.fingerprint}`,
      },
    );
  const folder = mkdtempSync(join(tmpdir(), 'dc-agent-ssh-'));
  const file = join(folder, 'known_hosts');
  writeFileSync(file, knownHostsLine(target, seen), { mode: 0o600 });
  return {
    host: new SshHost(here, target, file),
    target,
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}
