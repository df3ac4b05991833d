/** What the agent reads from its environment: all of it, and nothing else does. */
import { isAbsolute, join } from 'node:path';

/** The parts of the environment that mean something to us. */
export interface Environment {
  /** systemd's socket for READY=1, WATCHDOG=1 and the like; null outside of a Type=notify service. */
  readonly notifySocket: string | null;
  /** How often systemd wants to hear WATCHDOG=1 at the latest; null for no watchdog. */
  readonly watchdogMs: number | null;
  /** Where programs are found. */
  readonly path: string;
  /** Where the person who runs a command keeps the settings of programs: $XDG_CONFIG_HOME, or ~/.config. Null without a home. */
  readonly userConfigDir: string | null;
  /** Where the person's SSH agent listens; null without one. */
  readonly sshAuthSock: string | null;
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
    userConfigDir: userConfigDir(env),
    sshAuthSock: env['SSH_AUTH_SOCK'] ?? null,
    noColor: (env['NO_COLOR'] ?? '') !== '',
  };
}

function userConfigDir(env: NodeJS.ProcessEnv): string | null {
  const { XDG_CONFIG_HOME: config = '', HOME: home = '' } = env;
  if (isAbsolute(config)) return config; // A relative one is to be ignored, says its specification.
  return isAbsolute(home) ? join(home, '.config') : null;
}
