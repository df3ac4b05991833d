/** What the sagas work with, besides the engine. */
import type { LoginProbe } from '../guest-access/login-probe.ts';
import type { Provisioner } from '../provisioners/provisioner.ts';

/** What answered on an SSH port, or why nothing did (a phrase for the operator and the renter; no secrets). */
export type SshProbe =
  | { readonly answered: true; readonly hostKeyFingerprint: string }
  | { readonly answered: false; readonly why: string };

/** Asks an SSH server for its host key without logging in. Rejects only when aborted. */
export type ProbeSsh = (address: { host: string; port: number }, signal: AbortSignal) => Promise<SshProbe>;

export interface SagaParts {
  readonly provisioner: Provisioner;
  /** The seal that this provider's agents give to the contract's instance. Always the same for a contract. */
  readonly sealFor: (contractId: string) => string;
  readonly probeSsh: ProbeSsh;
  readonly loginProbe: LoginProbe;
  /** The agent's own 32 bytes that passwords are made with. Never in the journal. */
  readonly secretKey: Uint8Array;
  /** How long a new instance may take until its SSH server answers. */
  readonly sshTimeoutMs: number;
}
