/**
 * Changes a login inside a running guest: by the guest agent where it answers, else over SSH, with the host key that was
 * pinned at the delivery and a management key that stands in the guest since it was made.
 */
import { createHmac } from 'node:crypto';
import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { AUTHORIZED_KEYS_SCRIPT, authorizedKeysInput } from '../../guest-access/guest-scripts.ts';
import { replaceGuestKey, setGuestPassword, type GuestLogin } from '../../guest-access/ssh-guest.ts';
import type { PasswordChange, SshAccess, SshKeyChange } from '../provisioner.ts';
import { describeHostKey, openSshPrivateKey, publicKeyOfSeed } from '../ssh-host-key.ts';
import type { GuestAgent, GuestPlace } from './guest-agent.ts';

/**
 * The seed of the management key. It comes from the seal secret: every agent of the provider has it, so that one that
 * takes over can still help a renter, and there is no further secret to keep.
 */
const seedOf = (sealSecret: Uint8Array): Buffer =>
  createHmac('sha256', sealSecret).update('dc-management-key-v1').digest();

/** The line for a guest's authorized_keys. */
export const managementKeyLine = (sealSecret: Uint8Array): string =>
  `${describeHostKey(publicKeyOfSeed(seedOf(sealSecret))).hostKey} dc-agent`;

export interface LoginWay {
  readonly agent: GuestAgent;
  readonly place: GuestPlace;
  /** Null where nobody knows how it is reached. */
  readonly ssh: SshAccess | null;
  readonly sealSecret: Uint8Array;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Sets a password. Idempotent. Throws PROVISIONER_UNAVAILABLE, with what each way said, where there is none. */
export function changePassword(way: LoginWay, change: PasswordChange): Promise<void> {
  return byEither(way, {
    byAgent: () => way.agent.setPassword(way.place, change, way.signal),
    bySsh: (login) => setGuestPassword(login, change, way),
  });
}

/** Puts one key in the place of another. As `changePassword`. */
export function changeKey(way: LoginWay, change: SshKeyChange): Promise<void> {
  const job = { script: AUTHORIZED_KEYS_SCRIPT, input: authorizedKeysInput(change) };
  return byEither(way, {
    byAgent: () => way.agent.runScript(way.place, job, way.signal),
    bySsh: (login) => replaceGuestKey(login, change, way),
  });
}

async function byEither(
  { ssh, sealSecret }: LoginWay,
  ways: { byAgent: () => Promise<void>; bySsh: (login: GuestLogin) => Promise<void> },
): Promise<void> {
  try {
    await ways.byAgent();
  } catch (silent) {
    if (!isAppError(silent, 'PROVISIONER_UNAVAILABLE') || ssh === null) throw silent;
    try {
      await ways.bySsh({ access: ssh, privateKey: openSshPrivateKey(seedOf(sealSecret)) });
    } catch (closed) {
      if (!isAppError(closed, 'INSTANCE_UNREACHABLE')) throw closed;
      throw new AppError('PROVISIONER_UNAVAILABLE', `${silent.message} ${closed.message}`, {
        remedy:
          'Start qemu-guest-agent in the guest, or put the key of dc-agent back into its authorized_keys.',
        cause: closed,
      });
    }
  }
}
