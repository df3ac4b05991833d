/** Turns the list of commands into what commander understands. Loaded only where there is something to parse. */
import { Command as Commander } from 'commander';
import { CONFIG_FILE_DEFAULT } from './config/paths.ts';
import type { Command, CommandInput, CommandWorld } from './lib/command.ts';
import { VERSION } from './run/version.ts';

/** Words that only group others. */
const GROUPS: Readonly<Record<string, string>> = {
  setup: 'set this machine up as an agent',
  maintenance: 'take no new work for a while',
  orphans: 'what the backend holds that the journal cannot account for',
  provider: 'become a provider, offer, and make setup tokens',
};

/** Runs a command with what the user said. */
export type Execute = (command: Command, input: CommandInput) => Promise<void>;

/** The command line as commander has it. */
export function buildProgram(commands: readonly Command[], world: CommandWorld, execute: Execute): Commander {
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
  for (const command of commands) {
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
  // Commander hands the same over by position, too.
  made.action(async () => {
    const { args } = made;
    const options = made.optsWithGlobals<Record<string, string | boolean | undefined>>();
    const configFile = typeof options['config'] === 'string' ? options['config'] : CONFIG_FILE_DEFAULT;
    await execute(command, { configFile, args, options });
  });
}
