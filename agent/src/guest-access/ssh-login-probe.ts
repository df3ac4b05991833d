/** The login probe over ssh2. */
import type Ssh2 from 'ssh2';
import type { AnyAuthMethod, AuthHandlerMiddleware, IdentityCallback, ParsedKey } from 'ssh2';
import type { Clock } from '@dc/shared/clock';
import { toHex } from '@dc/shared/ids';
import type { Random } from '@dc/shared/random';
import type { SshAccess } from '../provisioners/provisioner.ts';
import type { LoginProbe, PasswordAnswer } from './login-probe.ts';
import { withSshClient } from './ssh-client.ts';

/** OpenSSH lets whoever gave a wrong password wait for two seconds. */
const TIMEOUT_MS = 20_000;

/** A probe on this clock. `random` makes the passwords that must be refused. */
export function sshLoginProbe({ clock, random }: { clock: Clock; random: Random }): LoginProbe {
  const tryLogin = async <Answer>(
    access: SshAccess,
    signal: AbortSignal,
    { authHandler, answer }: Attempt<Answer>,
    whenIn: Answer | (() => Answer),
  ): Promise<Answer> =>
    withSshClient(access, { auth: { authHandler }, clock, signal, timeoutMs: TIMEOUT_MS }, (client) => {
      const isIn = new Promise<Answer>((resolve) =>
        client.once('ready', () =>
          resolve(typeof whenIn === 'function' ? (whenIn as () => Answer)() : whenIn),
        ),
      );
      return Promise.race([answer, isIn]);
    });
  return {
    tryPassword(access, password, signal) {
      const wrong = toHex(random.bytes(12));
      const attempt = passwordAttempt(access.user, { wrong, password });
      return tryLogin(access, signal, attempt, () => (attempt.isLast() ? 'accepted' : 'anything_accepted'));
    },
    async tryPublicKey(access, sshPublicKey, signal) {
      const { default: ssh2 } = await import('ssh2');
      return tryLogin(access, signal, keyAttempt(ssh2, access.user, sshPublicKey), 'accepted');
    },
  };
}

/** One way of logging in, and what came of it unless that lets us in. */
interface Attempt<Answer> {
  readonly authHandler: AuthHandlerMiddleware;
  readonly answer: Promise<Answer>;
}

/** Asks what is offered, gives the wrong password, then the right one. */
function passwordAttempt(
  username: string,
  { wrong, password }: { wrong: string; password: string },
): Attempt<PasswordAnswer> & { isLast: () => boolean } {
  const { promise, resolve } = Promise.withResolvers<PasswordAnswer>();
  let step = 0;
  const authHandler: AuthHandlerMiddleware = (methods, partialSuccess, next) => {
    step += 1;
    const isOffered = (methods as readonly string[] | null)?.includes('password') === true;
    if (step === 1) next({ type: 'none', username });
    else if (step === 2 && !isOffered) resolve('not_offered');
    else if (step === 2) next({ type: 'password', username, password: wrong });
    else if (step === 3 && isOffered) next({ type: 'password', username, password });
    // With a second factor asked for, the password itself was right.
    else resolve(partialSuccess ? 'accepted' : 'refused');
  };
  return { authHandler, answer: promise, isLast: () => step === 3 };
}

/** Shows a public key as an SSH agent that cannot sign: whether it is asked to is all that we want to know. */
function keyAttempt(
  ssh2: typeof Ssh2,
  username: string,
  sshPublicKey: string,
): Attempt<'accepted' | 'refused'> {
  const { promise, resolve } = Promise.withResolvers<'accepted' | 'refused'>();
  const key = ssh2.utils.parseKey(sshPublicKey);
  if (key instanceof Error) throw key;
  const keys: ParsedKey[] = [key];
  class KeyQuery extends ssh2.BaseAgent<ParsedKey> {
    override getIdentities(callback: IdentityCallback<ParsedKey>): void {
      callback(undefined, keys);
    }
    override sign(): void {
      resolve('accepted');
    }
  }
  const methods: AnyAuthMethod[] = [{ type: 'agent', username, agent: new KeyQuery() }];
  const authHandler: AuthHandlerMiddleware = (_methods, _partialSuccess, next) => {
    const method = methods.shift();
    if (method === undefined) resolve('refused');
    else next(method);
  };
  return { authHandler, answer: promise };
}
