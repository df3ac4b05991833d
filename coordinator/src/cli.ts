/**
 * The commands of dc-coordinator. Prints and returns exit codes; `main.ts` alone ends the process.
 *
 * Exit codes: 0 done, 1 a bug or a report that is not good, 2 usage or configuration, 3 the database is newer than
 * this program, 143 ended by SIGTERM. A service manager must not restart on 2 and 3.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { PUBLIC_KEY_PATTERN } from '@dc/shared/crypto/public-key';
import { AppError } from '@dc/shared/errors';
import {
  exportLedger,
  grantAdmin,
  reportLedger,
  reportStats,
  type AdminReport,
} from './admin/admin-reports.ts';
import { addArchiveCommands } from './archive/archive-commands.ts';
import { CONFIG_FILE, loadConfig } from './config/load-config.ts';
import type { Context } from './context.ts';
import type { Database } from './database/database.ts';
import { describeChecks, runDoctor } from './health/doctor.ts';
import { addRefundCommands } from './payments/refund-commands.ts';
import { addStripeCommands } from './payments/stripe/stripe-commands.ts';
import { addKeyCommands } from './keys/key-commands.ts';
import { createLog } from './lib/log.ts';
import { addSafeModeCommands } from './safe-mode/safe-mode-commands.ts';
import { systemClock } from './lib/system-clock.ts';
import { systemRandom } from './lib/system-random.ts';
import { EXPORT_FORMATS, type ExportFormat } from './payments/ledger-export.ts';
import { monthlyCsv } from './payments/monthly-report.ts';
import { createCoordinator, openCurrent, openMigrated } from './wiring.ts';

/** What a command is given by the process. */
export interface CliEnvironment {
  version: string;
  /** Prints a line for the user. */
  print(line: string): void;
  /** Prints a line about what went wrong. */
  printError(line: string): void;
  /** Resolves with the first SIGTERM or SIGINT. */
  stopSignal(): Promise<'SIGTERM' | 'SIGINT'>;
}

const EXIT_BUG = 1;
const EXIT_USAGE = 2;
const EXIT_DATABASE_NEWER = 3;
const EXIT_SIGTERM = 143;

/** Requests and jobs that run get this long after SIGTERM; systemd kills after 90 s. */
const DRAIN_MS = 10_000;

/** Runs the command of `args` (without node and script), and resolves with the exit code. */
export async function runCli(args: readonly string[], environment: CliEnvironment): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(environment, (code) => (exitCode = code));
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has printed what was wrong, or the help.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    return reportFailure(error, environment);
  }
}

function buildProgram(environment: CliEnvironment, setExit: (code: number) => void): Command {
  const program = new Command('dc-coordinator')
    .description(
      'Offerings, contracts, money and evidence of a marketplace for servers, and the page that renters use.',
    )
    .version(environment.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => environment.print(text.trimEnd()),
      writeErr: (text) => environment.printError(text.trimEnd()),
    })
    .showHelpAfterError('Run it with --help to see what there is.');
  addConfig(program.command('serve'))
    .description('Serves the API and the page until SIGTERM.')
    .option('--port <port>', 'listen there instead of where the file says; 0 for any', readPort)
    .action(async (options: ServeOptions) => setExit(await serve(options, environment)));
  addConfig(program.command('migrate'))
    .description('Brings the database up to date, and says what was applied. `serve` does so too.')
    .action((options: ConfigOption) => runMigrations(options, environment));
  addConfig(program.command('doctor'))
    .description('Checks the key, the database and the payment providers, and says what to do.')
    .action(async (options: ConfigOption) => {
      const config = loadConfig(options.config);
      const parts = { clock: systemClock, random: systemRandom, log: createLog(config.logLevel) };
      const checks = await runDoctor({ config, openDatabase: () => openCurrent(config, parts) });
      for (const line of describeChecks(checks)) environment.print(line);
      if (checks.some(({ isGood }) => !isGood)) setExit(EXIT_BUG);
    });
  addAdmin(program, environment, setExit);
  return program;
}

function addAdmin(program: Command, environment: CliEnvironment, setExit: (code: number) => void): void {
  const admin = program
    .command('admin')
    .description('Works on the database itself, also while the coordinator runs.');
  const report = async (
    options: ConfigOption,
    ask: (db: Database) => Promise<AdminReport>,
  ): Promise<void> => {
    const { text, isGood } = await withDatabase(options, ask);
    environment.print(text);
    if (!isGood) setExit(EXIT_BUG);
  };
  const ledger = admin.command('ledger').description('The double-entry ledger.');
  addConfig(ledger.command('verify'))
    .description('Recomputes every balance, from postings and evidence, and names the first difference.')
    .action((options: ConfigOption) =>
      report(options, (db) => reportLedger(db, loadConfig(options.config).earning.proofMs)),
    );
  addConfig(ledger.command('export'))
    .description('Prints every posting: CSV for spreadsheets, or a journal for hledger.')
    .addOption(new Option('--format <format>', 'how').choices(EXPORT_FORMATS).default('csv'))
    .action((options: ConfigOption & { format: ExportFormat }) =>
      withDatabase(options, (db) => exportLedger(db, options.format, (text) => environment.print(text))),
    );
  addConfig(admin.command('report'))
    .description(
      'Prints a month of the ledger as CSV: what accounts held before, what moved, what they hold after.',
    )
    .requiredOption('--month <month>', 'such as 2026-11 (UTC)')
    .action((options: ConfigOption & { month: string }) =>
      withDatabase(options, async (db) =>
        environment.print((await db.snapshot((reader) => monthlyCsv(reader, options.month))).trimEnd()),
      ),
    );
  addConfig(admin.command('grant-admin'))
    .description('Makes the account of a key an admin.')
    .argument('<key>', 'a public key of the account, in hex', readPublicKey)
    .action((key: string, options: ConfigOption) => report(options, (db) => grantAdmin(db, key)));
  addConfig(admin.command('stats'))
    .description('Counts what there is, and lists what waits for a person.')
    .action((options: ConfigOption) => report(options, (db) => reportStats(db.read)));
  const print = (line: string): void => environment.print(line);
  addSafeModeCommands(admin, { print, setExit, withContext: offline(environment), addConfig });
  addArchiveCommands(admin, { print, withContext: offline(environment), addConfig });
  addRefundCommands(admin, { print, withContext: offline(environment), addConfig });
  addStripeCommands(admin, { print, loadConfig, addConfig });
  addKeyCommands(admin, { clock: systemClock, random: systemRandom, print, loadConfig, addConfig });
}

interface ConfigOption {
  config: string;
}

interface ServeOptions extends ConfigOption {
  port?: number;
}

const addConfig = (command: Command): Command =>
  command.option('--config <file>', 'the configuration file', CONFIG_FILE);

async function serve(options: ServeOptions, environment: CliEnvironment): Promise<number> {
  const config = loadConfig(options.config, { port: options.port });
  const log = createLog(config.logLevel);
  const parts = { clock: systemClock, random: systemRandom, log, version: environment.version };
  const coordinator = await createCoordinator(config, parts);
  const stopped = environment.stopSignal();
  try {
    const { url, metricsUrl } = await coordinator.listen();
    await coordinator.startWork();
    const metrics = metricsUrl === null ? '' : `, metrics on ${metricsUrl}`;
    environment.print(
      `dc-coordinator ${environment.version} is ready on ${url} as ${config.publicUrl}${metrics}`,
    );
    const signal = await stopped;
    log.info({ signal }, 'stopping');
    return signal === 'SIGTERM' ? EXIT_SIGTERM : 0;
  } finally {
    await coordinator.stop(DRAIN_MS);
  }
}

async function runMigrations(options: ConfigOption, environment: CliEnvironment): Promise<void> {
  const config = loadConfig(options.config);
  const parts = { clock: systemClock, random: systemRandom, log: createLog(config.logLevel) };
  const { db, applied } = await openMigrated(config, parts);
  await db.close();
  for (const name of applied) environment.print(`applied ${name}`);
  if (applied.length === 0) environment.print('The database is up to date.');
}

async function withDatabase<T>(options: ConfigOption, use: (db: Database) => Promise<T>): Promise<T> {
  const config = loadConfig(options.config);
  const parts = { clock: systemClock, random: systemRandom, log: createLog(config.logLevel) };
  const db = await openCurrent(config, parts);
  try {
    return await use(db);
  } finally {
    await db.close();
  }
}

/** Opens everything and serves nothing, also beside a coordinator that runs. */
const offline =
  ({ version }: CliEnvironment) =>
  async (configFile: string, use: (context: Context) => Promise<void>): Promise<void> => {
    const config = loadConfig(configFile);
    const parts = { clock: systemClock, random: systemRandom, log: createLog(config.logLevel), version };
    const coordinator = await createCoordinator(config, parts);
    try {
      await use(coordinator.context);
    } finally {
      await coordinator.stop(0);
    }
  };

function readPort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new InvalidArgumentError('A port is a number up to 65535.');
  return port;
}

function readPublicKey(text: string): string {
  if (!new RegExp(PUBLIC_KEY_PATTERN).test(text))
    throw new InvalidArgumentError('A key is 64 hexadecimal digits.');
  return text;
}

/** What happened, what to do, and the exit code. A bug shows where; nothing else does. */
function reportFailure(error: unknown, environment: CliEnvironment): number {
  if (!(error instanceof AppError) || error.kind === 'bug') {
    environment.printError(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return EXIT_BUG;
  }
  environment.printError(`${error.code}: ${error.message}\n${error.remedy}`);
  if (error.code === 'DATABASE_NEWER') return EXIT_DATABASE_NEWER;
  return error.isRetryable ? EXIT_BUG : EXIT_USAGE;
}
