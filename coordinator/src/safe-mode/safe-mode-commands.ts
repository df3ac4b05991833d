/** `dc-coordinator admin safe-mode …`: what the database does not know, and what to do about it. */
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { findDifferences, renderDifferences } from './differences.ts';
import { resolveSafeMode, type Resolution } from './resolve-safe-mode.ts';
import { enterSafeMode } from './safe-mode.ts';

/** What the commands work with. */
export interface SafeModeCommandParts {
  print: (line: string) => void;
  setExit: (code: number) => void;
  /** Opens the coordinator of a configuration, without serving, for as long as `use` takes. */
  withContext: (configFile: string, use: (context: Context) => Promise<void>) => Promise<void>;
  /** Adds the option that names the configuration. */
  addConfig: (command: Command) => Command;
}

const EXIT_ON = 1;

interface ResolveOptions {
  config: string;
  withoutSilentAgents?: boolean;
}

/** Adds them below `admin`. */
export function addSafeModeCommands(admin: Command, parts: SafeModeCommandParts): void {
  const { print, setExit, withContext, addConfig } = parts;
  const safeMode = admin
    .command('safe-mode')
    .description('The state in which nothing is acted upon, because the database may be behind.');
  addConfig(safeMode.command('status'))
    .description(
      'Says whether it is on, why, and what agents know that the database does not. Exits with 1 while on.',
    )
    .action(({ config }: { config: string }) =>
      withContext(config, async (context) => {
        const differences = await findDifferences(context, context.db.read);
        print(differences === null ? 'Safe mode is off.' : renderDifferences(differences));
        if (differences !== null) setExit(EXIT_ON);
      }),
    );
  addConfig(safeMode.command('enter'))
    .description('Turns it on. After restoring a backup: before the first start.')
    .action(({ config }: { config: string }) =>
      withContext(config, async (context) => {
        const detail = 'An admin turned it on.';
        await context.db.write((trx) =>
          enterSafeMode(context, trx, { cause: 'admin', detail, agent_key: null, proof: null }),
        );
        print('Safe mode is on.');
      }),
    );
  addConfig(safeMode.command('resolve'))
    .description('Brings the database to what agents can prove, and turns it off.')
    .option('--without-silent-agents', 'although some agents have not told what they hold')
    .action(({ config, withoutSilentAgents }: ResolveOptions) =>
      withContext(config, async (context) => {
        const resolution = await resolveSafeMode(context, { withoutSilent: withoutSilentAgents === true });
        print(resolution === null ? 'Safe mode is off already.' : renderResolution(resolution));
      }),
    );
}

function renderResolution({ withdrawn, ended, raised, applied, unapplied, unknown }: Resolution): string {
  return [
    `Safe mode is off. ${String(applied)} records were acted upon, ${String(unapplied)} fitted nothing and are kept.`,
    `${String(ended)} contracts were ended as of when they had ended, ${String(raised)} epochs raised, ${String(withdrawn)} forged orders withdrawn.`,
    ...unknown.map(
      (id) => `contract ${id} stays unknown: its instance goes on until its provider ends it by hand.`,
    ),
    'Payments of the time that is missing: the payment providers know them; compare their lists with the ledger.',
  ].join('\n');
}
