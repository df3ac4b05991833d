/** What a driver's test hands to the conformance suite: its backend, seen from behind. */
import type { Handle, Instance, InstanceSpec, PasswordChange, Provisioner } from '../provisioner.ts';

/** One backend, empty at the start, made anew for each test. */
export interface ConformanceSubject {
  /** Opens the driver as an agent does after a start or a restart. The suite closes it. */
  open(): Promise<Provisioner>;
  /** What the suite may order. */
  readonly spec: InstanceSpec;
  /** Writes another seal, or none, onto an object behind the driver's back. */
  replaceSeal(handle: Handle, seal: string | null): Promise<void>;
  /** Everything about one object that would change if it were touched. */
  snapshot(handle: Handle): Promise<string>;
  /** The ids of all that is at the backend, half-made things too. */
  objectIds(): Promise<string[]>;
  /** Whether anything answers where the instance said that it can be reached. */
  isReachable(instance: Instance): Promise<boolean>;
  /** Makes the next create do its work and lose the answer. Needed unless `lostReply` is skipped. */
  loseNextCreateReply?(): void;
  /** Logs in, as a renter would. Needed unless `login` is skipped. */
  tryPassword?(instance: Instance, login: PasswordChange): Promise<boolean>;
  tryPublicKey?(instance: Instance, sshPublicKey: string): Promise<boolean>;
  /** Ends and removes whatever is left. */
  dispose(): Promise<void>;
}

/** Where a backend may differ. */
export interface Tolerances {
  /** How long after an answer `list` and `inspect` may still show the old state. */
  readonly listLagMs: number;
  /** How long one test may take. */
  readonly testTimeoutMs: number;
}

/** Tests that a driver cannot pass, each with its reason; the reason is printed. */
export type Skips = Partial<Readonly<Record<SkippableTest, string>>>;

export type SkippableTest = 'lostReply' | 'reachable' | 'hostKey' | 'login';
