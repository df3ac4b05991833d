/** The command line: the list of commands, and how it is turned into what commander understands. */
import { Command as Commander, CommanderError } from 'commander';
import { AppError, isAppError } from '@dc/shared/errors';
import { CONFIG_FILE_DEFAULT } from './config/paths.ts';
import { doctorCommand } from './doctor/doctor.command.ts';
import { testProvisionCommand } from './doctor/test-provision.command.ts';
import { verifyEvidenceCommand } from './evidence/verify-evidence.command.ts';
import type { Command, CommandWorld } from './lib/command.ts';
import { EXIT, exitCodeOf } from './lib/exit-code.ts';
import { runCommand } from './run/run.command.ts';
import { VERSION } from './run/version.ts';
import { setupTokenCommand } from './setup/setup-token.command.ts';
import { statusCommand } from './status/status.command.ts';
import { whyCommand } from './why/why.command.ts';

/** Every command, in the order in which help shows them. */
export const COMMANDS: readonly Command[] = [
  setupTokenCommand,
  runCommand,
  statusCommand,
  whyCommand,
  doctorCommand,
  testProvisionCommand,
  verifyEvidenceCommand,
];

/** Words that only group others. */
const GROUPS: Readonly<Record<string, string>> = { setup: 'set this machine up as an agent' };

/** Runs the command that `argv` (without node and script) names; resolves with the exit code. Never rejects. */
export async function runCli(argv: readonly string[], world: CommandWorld): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = buildProgram(world, async (command, input) => {
    try {
      exitCode = await command.run(input, world);
    } catch (error) {
      exitCode = complain(error, input.options['json'] === true, world);
    }
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage; // It has said what was wrong itself.
  }
  return exitCode;
}

type Execute = (command: Command, input: Parameters<Command['run']>[0]) => Promise<void>;

/** The command line as commander has it. */
export function buildProgram(world: CommandWorld, execute: Execute): Commander {
  const program = new Commander('dc-agent');
  const output = {
    writeOut: (text: string) => world.print(text.trimEnd()),
    writeErr: (text: string) => world.complain(text.trimEnd()),
    getOutHelpWidth: () => 100,
    getErrHelpWidth: () => 100,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  };
  program
    .description('Turns paid contracts into instances on this provider’s machines, and proves what it did.')
    .option('--config <file>', 'the configuration file', CONFIG_FILE_DEFAULT)
    .version(VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .configureOutput(output)
    .exitOverride();
  const groups = new Map<string, Commander>();
  for (const command of COMMANDS) {
    const [first = '', second] = command.name.split(' ');
    let parent = program;
    if (second !== undefined) {
      parent =
        groups.get(first) ??
        program
          .command(first)
          .summary(GROUPS[first] ?? '')
          .description(GROUPS[first] ?? '');
      parent.helpCommand(false).copyInheritedSettings(program);
      groups.set(first, parent);
    }
    addCommand(parent, second ?? first, command, execute);
  }
  return program;
}

function addCommand(parent: Commander, name: string, command: Command, execute: Execute): void {
  const made = parent.command(name).summary(command.summary);
  made.description(
    command.description ?? `${command.summary.charAt(0).toUpperCase()}${command.summary.slice(1)}.`,
  );
  made.copyInheritedSettings(parent).helpOption('-h, --help', 'show help');
  for (const { flags, description } of command.args ?? []) made.argument(flags, description);
  for (const { flags, description, defaultValue } of command.options ?? []) {
    made.option(flags, description, defaultValue);
  }
  made.action(async (...given: unknown[]) => {
    const args = made.args;
    const options = made.optsWithGlobals<Record<string, string | boolean | undefined>>();
    const configFile = typeof options['config'] === 'string' ? options['config'] : CONFIG_FILE_DEFAULT;
    void given; // Commander hands over the same again, by position.
    await execute(command, { configFile, args, options });
  });
}

/** Says what went wrong and what to do; resolves with the exit code. */
function complain(error: unknown, asJson: boolean, world: CommandWorld): number {
  const known = isAppError(error)
    ? error
    : new AppError('INTERNAL_BUG', 'This is a bug in dc-agent.', { cause: error });
  const { code, message: detail, remedy } = known;
  if (asJson) world.print(JSON.stringify({ error: { code, detail, remedy } }));
  world.complain(`dc-agent: ${detail}`);
  world.complain(`→ ${remedy} [${code}]`);
  if (!isAppError(error))
    world.complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
  return exitCodeOf(error);
}
