/**
 * The port that proves a changed login: it tries to get into an instance as its renter would, with the host key
 * pinned, and never runs anything there.
 */
import type { SshAccess } from '../provisioners/provisioner.ts';

/**
 * What came of a password. `anything_accepted`: the server lets in whoever comes, so that a login proves nothing.
 * `not_offered`: it takes no passwords at all.
 */
export type PasswordAnswer = 'accepted' | 'refused' | 'anything_accepted' | 'not_offered';

/**
 * Both methods throw INSTANCE_UNREACHABLE where no answer comes in time or another host key is shown, and
 * SAGA_ABORTED where the signal says so.
 */
export interface LoginProbe {
  /** Offers a wrong password first, then this one, on a connection of its own. */
  tryPassword(access: SshAccess, password: string, signal: AbortSignal): Promise<PasswordAnswer>;

  /** Asks whether the server would let this public key in: no private key is needed for that (RFC 4252, section 7). */
  tryPublicKey(access: SshAccess, sshPublicKey: string, signal: AbortSignal): Promise<'accepted' | 'refused'>;
}
