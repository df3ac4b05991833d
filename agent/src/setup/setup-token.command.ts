/** `dc-agent setup token`: makes an agent of this machine with a token from the provider. */
import { AppError } from '@dc/shared/errors';
import { CONFIG_FILE_DEFAULT, STATE_DIR_DEFAULT } from '../config/paths.ts';
import { flagOption, textOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { painter } from '../lib/render-table.ts';

/** A token has 135 characters; this is only there to stop a wrong pipe. */
const TOKEN_CHARS_MAX = 1_000;

export const setupTokenCommand: Command = {
  name: 'setup token',
  summary: 'register this machine with a setup token',
  description:
    'Registers this machine with a setup token and writes its keys and configuration. Everything is checked before ' +
    'the token is spent. Safe to run again: what an earlier run left is used.',
  options: [
    { flags: '--coordinator <url>', description: 'the address of the coordinator' },
    {
      flags: '--token <token>',
      description: 'the token; better left out: it is asked for, or read from a pipe',
    },
    {
      flags: '--output <file>',
      description: 'the configuration to write',
      defaultValue: CONFIG_FILE_DEFAULT,
    },
    { flags: '--state-dir <dir>', description: 'where the journal goes', defaultValue: STATE_DIR_DEFAULT },
    { flags: '--key-dir <dir>', description: 'where the keys go; beside the configuration unless given' },
    {
      flags: '--provisioner <kind>',
      description: 'the backend that instances run on',
      defaultValue: 'local',
    },
    { flags: '--label <text>', description: 'a name for this agent on the provider’s page' },
    { flags: '--dry-run', description: 'check everything and change nothing' },
  ],
  async run(input, world) {
    const coordinatorUrl = textOption(input, 'coordinator');
    if (coordinatorUrl === null) {
      throw new AppError('COMMAND_USAGE', 'The address of the coordinator is missing.', {
        remedy: 'Add --coordinator https://…; it stands beside the setup token.',
      });
    }
    const token = textOption(input, 'token') ?? (await world.readSecret('Setup token (it is not shown): '));
    const output = textOption(input, 'output') ?? CONFIG_FILE_DEFAULT;
    const answers = {
      token: token.slice(0, TOKEN_CHARS_MAX),
      coordinatorUrl,
      output,
      keyDir: textOption(input, 'keyDir'),
      stateDir: textOption(input, 'stateDir') ?? STATE_DIR_DEFAULT,
      provisioner: textOption(input, 'provisioner') ?? 'local',
      label: textOption(input, 'label'),
      isDryRun: flagOption(input, 'dryRun'),
    };
    const { clock, random } = world;
    const { Registrar } = await import('../coordinator-client/registrar.ts');
    const { setUpAgent } = await import('./set-up-agent.ts');
    const registrar = new Registrar({ url: coordinatorUrl, clock, random });
    const paint = painter(world.isTerminal && !world.environment.noColor);
    try {
      const { agentKey, wasRegistered, configText } = await setUpAgent(answers, {
        registrar,
        clock,
        random,
        signal: new AbortController().signal,
        onStep: (line) => world.print(`${paint('green', '✓')} ${line}`),
      });
      if (agentKey === null) {
        world.print(`\nNothing was changed. ${output} would hold:\n\n${configText.trimEnd()}`);
        return EXIT.ok;
      }
      const said = wasRegistered
        ? 'This machine was registered with this token already'
        : 'This machine is registered';
      world.print(`${paint('green', '✓')} ${said}; its key is ${agentKey}.`);
      world.print(`\nNext:  dc-agent --config ${output} doctor\n       dc-agent --config ${output} run`);
      return EXIT.ok;
    } finally {
      await registrar.close();
    }
  },
};
