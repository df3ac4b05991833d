/**
 * Terminals for sessions, without a native module: util-linux's `script` opens one and copies between it and its
 * own pipes. Where there is no `script`, an interactive shell on plain pipes has to do.
 */
import { readFile, readlink } from 'node:fs/promises';
import type { Clock } from '@dc/shared/clock';
import { runCommand, type Command } from '../../lib/run-command.ts';
import type { SystemTools } from './system-tools.ts';

/** What the client says about its window; 0 where it does not know. */
export interface WindowSize {
  readonly rows: number;
  readonly cols: number;
}

/** A terminal as the client asked for it. */
export interface TerminalRequest extends WindowSize {
  readonly term: string;
}

const SIZE_MAX = 1_000; // Larger windows exist only in attempts to break something.

/** What to run so that `command` (a shell command line; null for a login shell) has a terminal. */
export function terminalCommand(
  command: string | null,
  terminal: TerminalRequest,
  tools: SystemTools,
  base: Omit<Command, 'file' | 'args'>,
): Command {
  const env = { ...base.env, TERM: /^[A-Za-z0-9._+-]{1,64}$/.test(terminal.term) ? terminal.term : 'xterm' };
  const { rows, cols } = clamp(terminal);
  if (tools.script === null) {
    const args = command === null ? ['-i'] : ['-c', command];
    return { ...base, env, file: tools.shell, args };
  }
  // `script` turns the echo off when its own input is a pipe.
  const prepare = `stty echo rows ${rows} cols ${cols}`;
  const line = command === null ? `${prepare}; exec ${tools.shell} -l` : `${prepare}\n${command}`;
  return { ...base, env, file: tools.script, args: ['-q', '-f', '-e', '-c', line, '/dev/null'] };
}

/**
 * Tells the terminal inside `script` that the window has changed; the kernel passes it on to the program. Best
 * effort: a program that is not told goes on with the size that it knows.
 */
export async function resizeTerminal(
  scriptPid: number,
  size: WindowSize,
  tools: SystemTools,
  clock: Clock,
): Promise<void> {
  if (tools.stty === null) return;
  try {
    const children = await readFile(`/proc/${scriptPid}/task/${scriptPid}/children`, 'utf8');
    const [shellPid = ''] = children.split(' ');
    const device = await readlink(`/proc/${shellPid}/fd/0`);
    if (!device.startsWith('/dev/pts/')) return;
    const { rows, cols } = clamp(size);
    const args = ['-F', device, 'rows', String(rows), 'cols', String(cols)];
    const limits = { timeoutMs: 2_000, outputBytesMax: 1_000 };
    await runCommand({ file: tools.stty, args, env: {} }, limits, clock, new AbortController().signal);
  } catch {
    // The session has ended meanwhile, or this system has no such /proc. See above.
  }
}

function clamp(size: WindowSize): WindowSize {
  const within = (value: number, fallback: number): number =>
    value >= 1 && value <= SIZE_MAX ? Math.trunc(value) : fallback;
  return { rows: within(size.rows, 24), cols: within(size.cols, 80) };
}
