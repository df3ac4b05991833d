/** Exit codes are an interface: systemd and scripts act on them. See agent/README.md. */
import { isAppError, type ErrorCode } from '@dc/shared/errors';

export const EXIT = {
  ok: 0,
  /** A bug, or something that may be gone at the next try. systemd starts the agent again. */
  failed: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** The journal cannot be used by this program: it is newer, or damaged. */
  journal: 3,
  /** The coordinator does not admit this agent. */
  unauthorised: 4,
  sigint: 130,
  sigterm: 143,
} as const;

const CODES: Partial<Record<ErrorCode, number>> = {
  CONFIG_INVALID: EXIT.usage,
  CONFIG_MISSING: EXIT.usage,
  KEY_FILE_UNSAFE: EXIT.usage,
  KEY_FILE_INVALID: EXIT.usage,
  COMMAND_USAGE: EXIT.usage,
  SETUP_TOKEN_INVALID: EXIT.usage,
  // Another agent runs here already: starting again every few seconds would not help.
  DATABASE_LOCKED: EXIT.usage,
  DATABASE_NEWER: EXIT.journal,
  JOURNAL_CORRUPT: EXIT.journal,
  KEY_UNKNOWN: EXIT.unauthorised,
  KEY_REVOKED: EXIT.unauthorised,
  PERMISSION_DENIED: EXIT.unauthorised,
  GRANT_INVALID: EXIT.unauthorised,
  GRANT_USED: EXIT.unauthorised,
  GRANT_EXPIRED: EXIT.unauthorised,
  GRANT_NOT_FOUND: EXIT.unauthorised,
  AGENT_KEY_TAKEN: EXIT.unauthorised,
  // Two agents sign with one key: neither may go on before somebody has looked.
  RECORD_FORK: EXIT.unauthorised,
};

/** The exit code that an error means. */
export function exitCodeOf(error: unknown): number {
  return isAppError(error) ? (CODES[error.code] ?? EXIT.failed) : EXIT.failed;
}
