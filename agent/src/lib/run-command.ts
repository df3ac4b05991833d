/**
 * Starts programs: the only place in the agent that does. Arguments are arrays (no shell reads them), the
 * environment is what the caller gives and nothing else, and every program leads a process group of its own, so
 * that ending it ends what it started too. Secrets go in by `input`, never by argument or environment.
 */
import type { Readable, Writable } from 'node:stream';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';

/** How long a group may go on after SIGTERM before it gets SIGKILL: a shell needs a few ms, an editor saves. */
const GRACE_MS = 2_000;

/** What to start. */
export interface Command {
  /** An absolute path, or a name that is looked up in `env.PATH`. */
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** How a program ended: by its own exit code, or by a signal. */
export interface CommandEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that is running. Whoever started it must read `stdout` and `stderr`, or it blocks. */
export interface RunningCommand {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves when the program has ended and its output is closed on the other side. Never rejects. */
  readonly ended: Promise<CommandEnd>;
  /** Sends a signal to the whole group; one that is gone already is fine. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM to the group, SIGKILL after `graceMs`; resolves when the program is gone. Idempotent. */
  stop(graceMs?: number): Promise<void>;
}

/** What `runCommand` may take. */
export interface CommandLimits {
  readonly timeoutMs: number;
  /** Of stdout and of stderr, each. */
  readonly outputBytesMax: number;
  /** Written to stdin, which is closed after it. */
  readonly input?: string | Uint8Array;
}

/** How a program ended and what it said. */
export interface CommandResult extends CommandEnd {
  readonly stdout: string;
  readonly stderr: string;
}

/** Loads what starting a program needs (about 15 MB), so that the first start is as fast as the others. */
export async function warmUpCommands(): Promise<void> {
  await import('execa');
}

/**
 * Starts a program with open pipes. COMMAND_FAILED when it cannot be started. The caller attaches readers to the
 * output at once, in the same turn: output that nobody reads is thrown away.
 */
export async function startCommand(command: Command, clock: Clock): Promise<RunningCommand> {
  const { execa } = await import('execa');
  const subprocess = execa(command.file, command.args, {
    env: command.env,
    extendEnv: false,
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    killDescendants: true,
    buffer: false,
    reject: false,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const { pid, stdin, stdout, stderr, nodeChildProcess: child } = subprocess;
  if (pid === undefined) {
    const { cause } = await subprocess;
    throw new AppError('COMMAND_FAILED', 'A program could not be started.', { cause });
  }
  // A program may end without having read its input: the broken pipe says nothing that its end does not say.
  stdin.on('error', () => {});
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ended = new Promise<CommandEnd>((resolve) => {
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal }));
  });
  const kill = (signal: NodeJS.Signals): void => void subprocess.kill(signal);
  const stop = async (graceMs: number): Promise<void> => {
    kill('SIGTERM');
    const cancel = clock.schedule(graceMs, () => kill('SIGKILL'));
    await exited;
    cancel();
    // The leader is gone. Whoever is left of its group has had a SIGTERM and gets no further grace; whoever
    // left the group may hold the pipes open, and is not waited for.
    kill('SIGKILL');
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
    await ended;
  };
  let stopping: Promise<void> | undefined;
  return {
    pid,
    stdin,
    stdout,
    stderr,
    ended,
    kill,
    stop: (graceMs = GRACE_MS) => (stopping ??= stop(graceMs)),
  };
}

/**
 * Runs a program to its end. An exit code other than 0 is an answer, not an error. COMMAND_FAILED when it cannot
 * be started, takes too long or says too much; SAGA_ABORTED when the signal is aborted. In these cases its whole
 * group is gone before the error is thrown. What it said is in the answer only, never in an error.
 */
export async function runCommand(
  command: Command,
  limits: CommandLimits,
  clock: Clock,
  signal: AbortSignal,
): Promise<CommandResult> {
  if (signal.aborted) throw abortedError(signal);
  const running = await startCommand(command, clock);
  let failure: AppError | undefined;
  const giveUp = (error: AppError): void => {
    failure ??= error;
    void running.stop();
  };
  const onTooMuch = (): void => giveUp(new AppError('COMMAND_FAILED', 'A program said more than it may.'));
  const stdout = collect(running.stdout, limits.outputBytesMax, onTooMuch);
  const stderr = collect(running.stderr, limits.outputBytesMax, onTooMuch);
  const onAbort = (): void => giveUp(abortedError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const cancel = clock.schedule(limits.timeoutMs, () => {
    giveUp(new AppError('COMMAND_FAILED', `A program did not end within ${limits.timeoutMs} ms.`));
  });
  running.stdin.end(limits.input);
  const end = await running.ended;
  cancel();
  signal.removeEventListener('abort', onAbort);
  if (failure !== undefined) {
    await running.stop();
    throw failure;
  }
  return { ...end, stdout: stdout(), stderr: stderr() };
}

function abortedError(signal: AbortSignal): AppError {
  return new AppError('SAGA_ABORTED', 'A program was stopped before it was done.', { cause: signal.reason });
}

/** Gathers what a stream says, up to a limit; returns how to read it as text. */
function collect(stream: Readable, bytesMax: number, onTooMuch: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bytesMax) onTooMuch();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
