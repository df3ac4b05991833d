/** `dc-coordinator admin archive …`: reads an archived contract back, and archives at once what is ripe. */
import type { Command } from 'commander';
import { AppError } from '@dc/shared/errors';
import type { Context } from '../context.ts';
import { archiveContracts } from './archive-contracts.ts';
import { findArchived } from './archive-store.ts';
import { viewArchived } from './archive-view.ts';

/** What the commands work with. */
export interface ArchiveCommandParts {
  print: (line: string) => void;
  /** Opens the coordinator of a configuration, without serving, for as long as `use` takes. */
  withContext: (configFile: string, use: (context: Context) => Promise<void>) => Promise<void>;
  /** Adds the option that names the configuration. */
  addConfig: (command: Command) => Command;
}

/** Adds them below `admin`. */
export function addArchiveCommands(
  admin: Command,
  { print, withContext, addConfig }: ArchiveCommandParts,
): void {
  const archive = admin.command('archive').description('Contracts that ended long ago.');
  addConfig(archive.command('show'))
    .description('Prints what is kept of a contract, as JSON.')
    .argument('<contract>', 'its id')
    .action((id: string, { config }: { config: string }) =>
      withContext(config, async ({ db }) => {
        const row = await findArchived(db.read, id);
        if (row === null) throw new AppError('CONTRACT_NOT_FOUND', `The archive has no contract ${id}.`);
        print(JSON.stringify(viewArchived(row), null, 2));
      }),
    );
  addConfig(archive.command('run'))
    .description(
      'Archives what is ripe, and forgets what need not be kept any more. The coordinator does so by itself.',
    )
    .action(({ config }: { config: string }) =>
      withContext(config, async (context) => {
        const { archived, forgotten } = await archiveContracts(context, new AbortController().signal);
        print(
          `${String(archived)} contracts archived, ${String(forgotten)} contracts and documents forgotten.`,
        );
      }),
    );
}
