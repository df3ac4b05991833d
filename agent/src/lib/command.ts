/** What a command of the program is: data, and one function. cli.ts makes the command line from it. */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { Environment } from '../config/environment.ts';

/** An option or an argument, as commander writes it: `--label <text>`, `<file>`. */
export interface CommandOption {
  readonly flags: string;
  readonly description: string;
  /** Without one the option is absent unless it is given. */
  readonly defaultValue?: string | boolean;
}

/** The world of a command; tests hand in their own. */
export interface CommandWorld {
  readonly clock: Clock;
  readonly random: Random;
  readonly environment: Environment;
  /** Whether a person reads what is written. */
  readonly isTerminal: boolean;
  /** Writes a line to standard output. */
  print(line: string): void;
  /** Writes a line to standard error. */
  complain(line: string): void;
  /** Asks for a line that is not shown, or reads one from a pipe. */
  readSecret(prompt: string): Promise<string>;
  /** Asks for a line on a terminal. */
  readLine(prompt: string): Promise<string>;
  /** From the first call on, the first SIGTERM or SIGINT only resolves this, and the second one ends the process. */
  signalled(): Promise<NodeJS.Signals>;
}

/** What the user said. */
export interface CommandInput {
  /** The configuration file, from --config. */
  readonly configFile: string;
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
}

/** One command. `name` may have two words: `setup token`. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** More, for --help. */
  readonly description?: string;
  readonly args?: readonly CommandOption[];
  readonly options?: readonly CommandOption[];
  /** Does it; resolves with the exit code. Throws an AppError for everything that went wrong. */
  run(input: CommandInput, world: CommandWorld): Promise<number>;
}

/** An option that takes a text; null where it was not given. */
export function textOption({ options }: CommandInput, name: string): string | null {
  const value = options[name];
  return typeof value === 'string' ? value : null;
}

/** A flag. */
export const flagOption = ({ options }: CommandInput, name: string): boolean => options[name] === true;
