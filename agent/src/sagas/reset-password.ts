/**
 * Gives the instance a new password that only its renter can read: seal → set → prove → report. The boxes are made
 * and recorded first, so that a password which may be in force is always one that can be delivered. What it is made
 * from is in the journal until the saga ends, and opens nothing without the agent's key (docs/decisions/credentials.md).
 */
import { AppError } from '@dc/shared/errors';
import { sealBox } from '@dc/shared/crypto/seal-box';
import type { PasswordProof } from '@dc/shared/wire/contract';
import type { SshAccess } from '../provisioners/provisioner.ts';
import { makePassword } from './make-password.ts';
import { defineSaga, type RetryPolicy, type SagaDefinition } from './saga.ts';
import type { ResetPasswordInput } from './saga-inputs.ts';
import type { SagaParts } from './saga-parts.ts';

/** A guest that is busy answers after a while; whoever waits for a password has gone after five minutes. */
export const WHILE_THE_RENTER_WAITS: Partial<RetryPolicy> = {
  attempts: 8,
  totalMs: 300_000,
  timeoutMs: 45_000,
};

/** The saga over these parts. */
export function resetPassword(parts: SagaParts): SagaDefinition {
  const { provisioner, sealFor, secretKey } = parts;
  return defineSaga<ResetPasswordInput>({
    name: 'reset-password',
    version: 1,
    needsLease: true,
    keepsSecret: true,
  })
    .run('seal', {
      policy: WHILE_THE_RENTER_WAITS,
      run: async ({ contractId, input, secret, random }) => {
        if (!provisioner.capabilities.setPasswordInGuest) throw unsupported('set a password in its guests');
        const password = makePassword(secretKey, secret());
        const boxes = [];
        for (const publicKey of input.sealTo)
          boxes.push(await sealBox(password, { publicKey, contractId }, random));
        return boxes;
      },
    })
    .run('set', {
      policy: WHILE_THE_RENTER_WAITS,
      run: async ({ contractId, input: { handle, ssh }, secret, signal }) => {
        const change = { user: ssh.user, password: makePassword(secretKey, secret()) };
        const found = await provisioner.setPassword(handle, sealFor(contractId), change, signal);
        if (found.existence === 'absent') throw new AppError('INSTANCE_GONE');
        return null;
      },
    })
    .run('prove', {
      policy: WHILE_THE_RENTER_WAITS,
      run: ({ input: { ssh }, secret, signal }) =>
        provePassword(parts, { ssh, password: makePassword(secretKey, secret()) }, signal),
    })
    .report(({ input: { handle, ssh }, outputs }) => ({
      kind: 'password_reset',
      data: { handle_id: handle.id, user: ssh.user, proof: outputs.prove, boxes: outputs.seal },
    }));
}

/** Logs in with the password as its renter would. Throws CREDENTIALS_UNPROVED where that fails, or proves nothing. */
async function provePassword(
  { loginProbe }: SagaParts,
  { ssh, password }: { ssh: SshAccess; password: string },
  signal: AbortSignal,
): Promise<PasswordProof> {
  const answer = await loginProbe.tryPassword(ssh, password, signal);
  switch (answer) {
    case 'accepted':
      return 'login';
    case 'not_offered':
      return 'no_password_login';
    case 'refused':
      throw new AppError('CREDENTIALS_UNPROVED', 'The instance refuses the new password.');
    case 'anything_accepted':
      throw new AppError('CREDENTIALS_UNPROVED', 'The instance lets in whoever comes, with any password.');
  }
}

/** What the backend cannot do. */
export const unsupported = (what: string): AppError =>
  new AppError('CREDENTIALS_UNSUPPORTED', `The provider’s backend cannot ${what}.`);
