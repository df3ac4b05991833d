/**
 * A driver over a backend that takes its time. A call that the agent gives up on is under way all the same: it is
 * carried out or not, as chance has it, and nobody hears of it.
 */
import type {
  Absent,
  CreateRequest,
  Destroyed,
  Existence,
  Fingerprint,
  Handle,
  Instance,
  InstanceList,
  PasswordChange,
  Present,
  Provisioner,
  SshKeyChange,
} from '../../agent/src/provisioners/provisioner.ts';
import { AppError } from '@dc/shared/errors';
import type { Dice } from './dice.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface SlowProvisionerParts {
  readonly inner: Provisioner;
  readonly time: VirtualTime;
  readonly dice: Dice;
  /** False once the agent's process is gone: it hears nothing more. */
  readonly isAlive: () => boolean;
  /** Called as the agent asks for an instance, before anything happens. */
  readonly onCreate: (request: CreateRequest) => void;
}

const USUAL_MS = { low: 5, high: 400 };
const CREATE_MS = { low: 200, high: 8_000 };

export class SlowProvisioner implements Provisioner {
  readonly kind: string;
  readonly capabilities: Provisioner['capabilities'];
  readonly #parts: SlowProvisionerParts;

  constructor(parts: SlowProvisionerParts) {
    this.#parts = parts;
    this.kind = parts.inner.kind;
    this.capabilities = parts.inner.capabilities;
  }

  fingerprint(signal: AbortSignal): Promise<Fingerprint> {
    return this.#slowly(signal, (inner) => this.#parts.inner.fingerprint(inner));
  }

  create(request: CreateRequest, signal: AbortSignal): Promise<Instance> {
    this.#parts.onCreate(request);
    return this.#slowly(signal, (inner) => this.#parts.inner.create(request, inner), CREATE_MS);
  }

  inspect(handle: Handle, signal: AbortSignal): Promise<Existence> {
    return this.#slowly(signal, (inner) => this.#parts.inner.inspect(handle, inner));
  }

  start(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#slowly(signal, (inner) => this.#parts.inner.start(handle, seal, inner));
  }

  stop(handle: Handle, seal: string, signal: AbortSignal): Promise<Present | Absent> {
    return this.#slowly(signal, (inner) => this.#parts.inner.stop(handle, seal, inner));
  }

  destroy(handle: Handle, seal: string, signal: AbortSignal): Promise<Destroyed> {
    return this.#slowly(signal, (inner) => this.#parts.inner.destroy(handle, seal, inner), CREATE_MS);
  }

  setPassword(
    handle: Handle,
    seal: string,
    change: PasswordChange,
    signal: AbortSignal,
  ): Promise<Present | Absent> {
    return this.#slowly(signal, (inner) => this.#parts.inner.setPassword(handle, seal, change, inner));
  }

  rotateSshKey(
    handle: Handle,
    seal: string,
    change: SshKeyChange,
    signal: AbortSignal,
  ): Promise<Present | Absent> {
    return this.#slowly(signal, (inner) => this.#parts.inner.rotateSshKey(handle, seal, change, inner));
  }

  list(signal: AbortSignal): Promise<InstanceList> {
    return this.#slowly(signal, (inner) => this.#parts.inner.list(inner));
  }

  async close(): Promise<void> {
    // The backend stays.
  }

  #slowly<T>(
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
    { low, high } = USUAL_MS,
  ): Promise<T> {
    const { time, dice, isAlive } = this.#parts;
    const wayThereMs = Math.round(dice.between(low, high));
    const goesOnAlone = dice.chance(0.5);
    const deaf = new AbortController();
    return new Promise<T>((resolve, reject) => {
      const giveUp = (): void => {
        reject(new AppError('SAGA_ABORTED', undefined, { cause: signal.reason }));
      };
      if (signal.aborted || !isAlive()) {
        giveUp();
        return;
      }
      signal.addEventListener('abort', giveUp, { once: true });
      const hear =
        <V>(end: (value: V) => void) =>
        (value: V): void => {
          signal.removeEventListener('abort', giveUp);
          if (isAlive()) end(value);
        };
      time.schedule(wayThereMs, () => {
        const isAlone = signal.aborted || !isAlive();
        if (isAlone && !goesOnAlone) return;
        work(isAlone ? deaf.signal : signal).then(hear(resolve), hear(reject));
      });
    });
  }
}
