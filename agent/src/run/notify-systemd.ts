/**
 * Tells systemd how we are (sd_notify). Node has no unix datagram sockets, so systemd's own program sends the
 * message: it is there wherever NOTIFY_SOCKET is, and a call takes a few milliseconds, three times a minute. See
 * docs/decisions/sd-notify.md.
 */
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { Environment } from '../config/environment.ts';
import { runCommand } from '../lib/run-command.ts';

/** PID 1 answers within milliseconds unless the machine is in trouble. */
const TIMEOUT_MS = 5_000;

/** What there is to say. */
export type Notice = 'READY=1' | 'STOPPING=1' | 'WATCHDOG=1' | `STATUS=${string}`;

/** Says it. Never rejects for a service manager that does not listen. */
export type Notify = (...notices: Notice[]) => Promise<void>;

/** Outside of a Type=notify service it says nothing. `onFailure` hears of a message that could not be sent. */
export function notifySystemd(
  environment: Pick<Environment, 'notifySocket' | 'path'>,
  clock: Clock,
  onFailure: (error: AppError) => void,
): Notify {
  const { notifySocket, path } = environment;
  if (notifySocket === null) return () => Promise.resolve();
  return async (...notices) => {
    const command = {
      file: 'systemd-notify',
      // One line each: a status text must not smuggle in another assignment.
      args: notices.map((notice) => notice.replaceAll(/[\r\n]+/g, ' ')),
      env: { PATH: path, NOTIFY_SOCKET: notifySocket },
    };
    const limits = { timeoutMs: TIMEOUT_MS, outputBytesMax: 4_096 };
    try {
      const { exitCode } = await runCommand(command, limits, clock, new AbortController().signal);
      if (exitCode !== 0) throw new AppError('COMMAND_FAILED', 'systemd-notify could not reach systemd.');
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      onFailure(error);
    }
  };
}
