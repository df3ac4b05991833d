/** `dc-agent orphans destroy`: the provider's own deliberate act, confirmed twice. */
import { AppError } from '@dc/shared/errors';
import type { Config } from '../config/config-schema.ts';
import type { Journal, UnaccountedInstance } from '../journal/journal.ts';
import {
  flagOption,
  textOption,
  type Command,
  type CommandInput,
  type CommandWorld,
} from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';

export const destroyOrphanCommand: Command = {
  name: 'orphans destroy',
  summary: 'destroy one orphan for good',
  description:
    'Destroys an instance that carries this provider’s seal and that the journal has no order for, after it was ' +
    'seen there for an hour. Asks twice. Refuses what is foreign, what has an order by now, and everything while ' +
    'the backend cannot list all it holds. First ask yourself whose it is: another agent of yours, or one whose ' +
    'journal was lost, may serve a renter with it.',
  args: [{ flags: '<id>', description: 'the instance, as dc-agent orphans list shows it' }],
  options: [
    { flags: '--yes', description: 'do not ask; needs --id-again' },
    { flags: '--id-again <id>', description: 'the same id once more' },
  ],
  async run(input, world) {
    const { loadConfig } = await import('../config/load-config.ts');
    const { journalFile } = await import('../config/paths.ts');
    const { openJournalReader } = await import('../journal/open-journal.ts');
    const { findRipe } = await import('./destroy-orphan.ts');
    const { changeJournal } = await import('../control/change-journal.ts');
    const config = await loadConfig(input.configFile);
    const id = input.args[0] ?? '';
    const reader = openJournalReader(journalFile(config.stateDir));
    try {
      await assertConfirmed(input, world, findRipe(reader, id));
    } finally {
      reader.close();
    }
    await changeJournal(config, world, { command: 'destroy_orphan', id }, (journal) =>
      destroyHere(config, world, journal, id),
    );
    world.print(`${id} is destroyed.`);
    return EXIT.ok;
  },
};

async function assertConfirmed(
  input: CommandInput,
  world: CommandWorld,
  { id, contractId, firstSeenAt }: UnaccountedInstance,
): Promise<void> {
  const again = textOption(input, 'idAgain');
  if (flagOption(input, 'yes') && again === id) return;
  if (flagOption(input, 'yes') || again !== null || !world.isTerminal) {
    throw new AppError('COMMAND_USAGE', 'Nothing was destroyed: that is not confirmed twice.', {
      remedy: `To do it without being asked, add: --yes --id-again ${id}`,
    });
  }
  world.print(`Instance ${id}, for contract ${contractId ?? 'unknown'}, here since ${time(firstSeenAt)}.`);
  world.print('Everything on it will be lost. Another agent of yours may have made it.');
  const isMeant = (await world.readLine('Destroy it? Type yes: ')).trim() === 'yes';
  if (!isMeant || (await world.readLine('Type its id: ')).trim() !== id) {
    throw new AppError('COMMAND_USAGE', 'Nothing was destroyed.');
  }
}

/** Without a running agent: through a driver of our own, under the journal's lock. */
async function destroyHere(
  config: Config,
  world: CommandWorld,
  journal: Journal,
  id: string,
): Promise<number> {
  const { loadKeys } = await import('../config/key-files.ts');
  const { driverDir } = await import('../config/paths.ts');
  const { openProvisioner } = await import('../provisioners/registry.ts');
  const { makeSeal } = await import('@dc/shared/seal');
  const { destroyOrphan } = await import('./destroy-orphan.ts');
  const { clock, random } = world;
  const { kind, options } = config.provisioner;
  const { environment, stateDir } = config;
  const sealSecret = loadKeys(config.keyDir).sealSecret.reveal();
  const provisioner = await openProvisioner(kind, options, {
    clock,
    random,
    sealSecret,
    stateDir: driverDir(stateDir, kind),
  });
  const stop = new AbortController();
  void world.signalled().then(() => stop.abort());
  try {
    const sealFor = (contractId: string): string => makeSeal(sealSecret, { contractId, environment });
    await destroyOrphan({ journal, provisioner, clock, sealFor }, id, stop.signal);
    return 1;
  } finally {
    await provisioner.close();
  }
}

const time = (ms: number): string => new Date(ms).toISOString();
