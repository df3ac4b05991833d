/** The machine that set-up works on, as something that runs commands: this one, or another one over SSH. */
import { AppError } from '@dc/shared/errors';

/** A command with its arguments; no shell reads it. */
export interface HostCommand {
  readonly argv: readonly [string, ...string[]];
  /** Written to its stdin. */
  readonly input?: string;
  /** Default: 10 minutes. */
  readonly timeoutMs?: number;
}

/** How it ended and what it said. */
export interface HostResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Something that runs commands. */
export interface Host {
  /** Runs it to its end. An exit code is an answer. SETUP_HOST_UNSUITABLE where the program or the machine is not there. */
  run(command: HostCommand, signal: AbortSignal): Promise<HostResult>;
}

/** The command as one would type it. */
export function shellLine(argv: readonly string[]): string {
  return argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}

/** Runs a command that has to succeed; answers its stdout. SETUP_STEP_FAILED with its own last words otherwise. */
export async function runOrThrow(host: Host, command: HostCommand, signal: AbortSignal): Promise<string> {
  const result = await host.run(command, signal);
  if (result.exitCode === 0) return result.stdout;
  throw new AppError(
    'SETUP_STEP_FAILED',
    `${command.argv[0]} ended with ${result.exitCode ?? 'a signal'}: ${lastWords(result)}`,
    { remedy: `Run it by hand to see more: ${shellLine(command.argv)}` },
  );
}

/** The last line of what a command complained about, or said. */
export function lastWords({ stderr, stdout }: Pick<HostResult, 'stderr' | 'stdout'>): string {
  const lines = (stderr.trim() === '' ? stdout : stderr).trim().split('\n');
  return lines.at(-1)?.trim() ?? '';
}
