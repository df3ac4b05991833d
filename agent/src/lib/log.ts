/** The log: JSON lines on standard output, for journald or whoever runs us. No transports, no threads. */
import type { SagaLog } from '../sagas/saga.ts';

/** What our code needs of a logger; pino fits. */
export interface Log extends SagaLog {
  debug(fields: object, message: string): void;
}

/** Members that never appear in a line, at the top or one level down, whoever logs them. */
const REDACTED = [
  'token',
  'password',
  'secret',
  'seed',
  'seal',
  'sealSecret',
  'agentKey',
  'signature',
  'authorization',
];

/** Makes the log. `write` is for tests; without it the lines go to standard output. */
export async function createLog(level: string, write?: (line: string) => void): Promise<Log> {
  // The default: a bundle has no other name for what it imports late from CommonJS.
  const { default: pino } = await import('pino');
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' },
  };
  const log: Log = write === undefined ? pino(options) : pino(options, { write });
  return log;
}

/** A log that says nothing. */
export const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
