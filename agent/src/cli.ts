/** The command line: the list of commands, running one of them, and what is said when that fails. */
import { AppError, isAppError } from '@dc/shared/errors';
import {
  drainCommand,
  endMaintenanceCommand,
  startMaintenanceCommand,
} from './availability/availability-commands.ts';
import { confirmCommand } from './breaker/confirm.command.ts';
import { CONFIG_FILE_DEFAULT } from './config/paths.ts';
import { doctorCommand } from './doctor/doctor.command.ts';
import { testProvisionCommand } from './doctor/test-provision.command.ts';
import { verifyEvidenceCommand } from './evidence/verify-evidence.command.ts';
import { resetPasswordCommand } from './guest-access/reset-password.command.ts';
import type { Command, CommandInput, CommandWorld } from './lib/command.ts';
import { EXIT, exitCodeOf } from './lib/exit-code.ts';
import { destroyOrphanCommand } from './orphans/destroy-orphan.command.ts';
import { listOrphansCommand } from './orphans/list-orphans.command.ts';
import {
  providerOfferCommand,
  providerRegisterCommand,
  providerTokenCommand,
} from './provider/provider-commands.ts';
import { runCommand } from './run/run.command.ts';
import { setupProxmoxCommand } from './setup/proxmox/setup-proxmox.command.ts';
import { setupTokenCommand } from './setup/setup-token.command.ts';
import { statusCommand } from './status/status.command.ts';
import { reportUsageCommand } from './usage/report-usage.command.ts';
import { whyCommand } from './why/why.command.ts';

/** Every command, in the order in which help shows them. */
export const COMMANDS: readonly Command[] = [
  setupTokenCommand,
  setupProxmoxCommand,
  runCommand,
  statusCommand,
  whyCommand,
  doctorCommand,
  drainCommand,
  startMaintenanceCommand,
  endMaintenanceCommand,
  resetPasswordCommand,
  reportUsageCommand,
  confirmCommand,
  listOrphansCommand,
  destroyOrphanCommand,
  testProvisionCommand,
  verifyEvidenceCommand,
  providerRegisterCommand,
  providerOfferCommand,
  providerTokenCommand,
];

/** Runs the command that `argv` (without node and script) names; resolves with the exit code. Never rejects. */
export async function runCli(argv: readonly string[], world: CommandWorld): Promise<number> {
  const daemon = parseDaemon(argv);
  if (daemon !== null) return runOne(runCommand, daemon, world);
  const { CommanderError } = await import('commander');
  const { buildProgram } = await import('./build-program.ts');
  let exitCode: number = EXIT.ok;
  const program = buildProgram(COMMANDS, world, async (command, input) => {
    exitCode = await runOne(command, input, world);
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage; // It has said what was wrong itself.
  }
  return exitCode;
}

/**
 * `run` with nothing but its configuration: the daemon goes without the argument parser, which takes 7 MB for as
 * long as it lives. Null for everything else, which the parser judges.
 */
export function parseDaemon(argv: readonly string[]): CommandInput | null {
  const words = argv.flatMap((word) => (word.startsWith('--config=') ? ['--config', word.slice(9)] : [word]));
  const [configFile] = words.flatMap((word, index) => (words[index - 1] === '--config' ? [word] : []));
  const rest = words.filter((word, index) => word !== '--config' && words[index - 1] !== '--config');
  const options = words.length - rest.length;
  if (rest.length !== 1 || rest[0] !== 'run' || options > 2 || (options > 0 && !configFile)) return null;
  return { configFile: configFile ?? CONFIG_FILE_DEFAULT, args: [], options: {} };
}

async function runOne(command: Command, input: CommandInput, world: CommandWorld): Promise<number> {
  try {
    return await command.run(input, world);
  } catch (error) {
    return complain(error, input.options['json'] === true, world);
  }
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
