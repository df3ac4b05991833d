/** Commands on the machine that this program runs on. */
import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { runCommand } from '../../lib/run-command.ts';
import type { Host, HostCommand, HostResult } from './host.ts';

const TIMEOUT_MS = 10 * 60_000;
const OUTPUT_BYTES_MAX = 32 * 1024 * 1024;

/** This machine. */
export class LocalHost implements Host {
  readonly #env: Readonly<Record<string, string>>;
  readonly #clock: Clock;

  /** `env` is all that the commands see of the environment. */
  constructor(env: Readonly<Record<string, string>>, clock: Clock) {
    this.#env = env;
    this.#clock = clock;
  }

  async run({ argv, input, timeoutMs = TIMEOUT_MS }: HostCommand, signal: AbortSignal): Promise<HostResult> {
    const [file, ...args] = argv;
    const limits = { timeoutMs, outputBytesMax: OUTPUT_BYTES_MAX, ...(input === undefined ? {} : { input }) };
    try {
      return await runCommand({ file, args, env: this.#env }, limits, this.#clock, signal);
    } catch (error) {
      if (!isAppError(error, 'COMMAND_FAILED')) throw error;
      throw new AppError('SETUP_HOST_UNSUITABLE', `${file}: ${error.message}`, {
        remedy:
          file === 'pvesh'
            ? 'Run this as root on a Proxmox VE host, or name one: --host root@HOST.'
            : `Look whether ${file} is installed and can be run.`,
        cause: error,
      });
    }
  }
}
