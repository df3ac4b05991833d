/** The log: JSON lines on standard error, without what is nobody's to read. */
import { destination, pino, type Logger } from 'pino';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Members that are left out wherever they stand near the top of a logged object. */
const SECRET = [
  'authorization',
  'cookie',
  'set-cookie',
  'signature',
  'signature-input',
  'token',
  'password',
  'seed',
];

/** A log to a file descriptor (2 is standard error), or to a stream of a test. */
export function createLog(level: LogLevel, stream?: { write(line: string): void }): Logger {
  const paths = SECRET.flatMap((name) => [`["${name}"]`, `*["${name}"]`, `*.*["${name}"]`]);
  const options = { level, base: null, redact: { paths, censor: '[secret]' } };
  // Synchronous: the last line before a crash is the one that is wanted, and there are few.
  return stream === undefined ? pino(options, destination({ fd: 2, sync: true })) : pino(options, stream);
}
