/** What a command of the simulated guests is, and how it ends. */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { GuestOs } from '../guest-os.ts';
import type { ShellInput } from './shell-input.ts';

/** How a command ended and what it said. */
export interface ShellResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command runs with. */
export interface CommandContext {
  readonly os: GuestOs;
  readonly machine: GuestMachineState;
  readonly user: string;
  readonly input: ShellInput;
  readonly cwd: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted when the machine goes off. */
  readonly signal: AbortSignal;
  /** Runs another script, as `sh -c` does. */
  readonly shell: (script: string, input: ShellInput, user?: string) => Promise<ShellResult>;
  /** Runs one command with its arguments, as `sudo` does. */
  readonly command: (argv: readonly string[], input: ShellInput, user?: string) => Promise<ShellResult>;
}

/** What commands see and change of the machine that is not on its disk. */
export interface GuestMachineState {
  hostname(): string;
  setHostname(name: string): void;
  uptimeSeconds(): number;
  addresses(): readonly { readonly name: string; readonly mac: string; readonly cidr: string }[];
  powerOff(): void;
}

/** A program of the guest. */
export type GuestCommand = (
  args: readonly string[],
  context: CommandContext,
) => ShellResult | Promise<ShellResult>;

/** An end with something said. */
export function said(stdout: string, exitCode = 0, stderr = ''): ShellResult {
  return { exitCode, stdout, stderr };
}

/** An end with a complaint. */
export function failed(stderr: string, exitCode = 1): ShellResult {
  return { exitCode, stdout: '', stderr: `${stderr}\n` };
}
