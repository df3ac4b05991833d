/** What the agent reads from its environment: all of it, and nothing else does. */

/** The parts of the environment that mean something to us. */
export interface Environment {
  /** systemd's socket for READY=1, WATCHDOG=1 and the like; null outside of a Type=notify service. */
  readonly notifySocket: string | null;
  /** How often systemd wants to hear WATCHDOG=1 at the latest; null for no watchdog. */
  readonly watchdogMs: number | null;
  /** Where programs are found. */
  readonly path: string;
  /** https://no-color.org: any text at all means no colour. */
  readonly noColor: boolean;
}

/** Reads the process's environment, or one that a test made. */
export function readEnvironment(env: NodeJS.ProcessEnv = process.env): Environment {
  const notifySocket = env['NOTIFY_SOCKET'] ?? '';
  // The pid says whom the watchdog is meant for: it is inherited by children that it does not mean.
  const isForUs = env['WATCHDOG_PID'] === undefined || env['WATCHDOG_PID'] === String(process.pid);
  const watchdogMs = Math.floor(Number(env['WATCHDOG_USEC'] ?? '') / 1000);
  return {
    notifySocket: notifySocket === '' ? null : notifySocket,
    watchdogMs: isForUs && watchdogMs > 0 ? watchdogMs : null,
    path: env['PATH'] ?? '/usr/bin:/bin',
    noColor: (env['NO_COLOR'] ?? '') !== '',
  };
}
