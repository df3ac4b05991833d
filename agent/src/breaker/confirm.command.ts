/** `dc-agent confirm`: the operator has looked at what the breaker holds back, and lets it go on. */
import { AppError } from '@dc/shared/errors';
import type { AskedRelease } from '../journal/journal.ts';
import { flagOption, type Command, type CommandInput, type CommandWorld } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { renderDuration, renderTable } from '../lib/render-table.ts';

export const confirmCommand: Command = {
  name: 'confirm',
  summary: 'let releases go on that wait because there were more than usual',
  description:
    'Lists the instances that orders want destroyed and that wait because there were more than usual within an ' +
    'hour, and lets exactly these go on once you confirm. What comes later waits for the next confirmation. Works ' +
    'beside a running agent or without one.',
  options: [
    { flags: '--yes', description: 'confirm without being asked' },
    { flags: '--json', description: 'print JSON' },
  ],
  async run(input, world) {
    const { loadConfig } = await import('../config/load-config.ts');
    const { journalFile } = await import('../config/paths.ts');
    const { openJournalReader } = await import('../journal/open-journal.ts');
    const config = await loadConfig(input.configFile);
    const reader = openJournalReader(journalFile(config.stateDir));
    const waiting = reader.pausedReleases();
    reader.close();
    const asJson = flagOption(input, 'json');
    if (!asJson) for (const line of renderWaiting(waiting, world.clock.now())) world.print(line);
    if (waiting.length > 0) await assertConfirmed(input, world, waiting.length);
    const confirmed = waiting.length === 0 ? 0 : await confirm();
    if (asJson) world.print(JSON.stringify({ confirmed, releases: waiting.map(toJson) }));
    else if (waiting.length > 0) world.print(`Confirmed: ${confirmed} of them go on.`);
    return EXIT.ok;

    async function confirm(): Promise<number> {
      const { changeJournal } = await import('../control/change-journal.ts');
      const { confirmReleases } = await import('./destruction-breaker.ts');
      const sagaIds = waiting.map(({ sagaId }) => sagaId);
      return changeJournal(
        config,
        world,
        { command: 'confirm', saga_ids: sagaIds },
        (journal) => confirmReleases(journal, sagaIds, world.clock.now()).length,
      );
    }
  },
};

async function assertConfirmed(input: CommandInput, world: CommandWorld, count: number): Promise<void> {
  if (flagOption(input, 'yes')) return;
  if (!world.isTerminal || flagOption(input, 'json')) {
    throw new AppError('COMMAND_USAGE', 'Nothing was confirmed: nobody can be asked here.', {
      remedy: 'Look at the list, then run it again with --yes.',
    });
  }
  const said = await world.readLine(`Have all these contracts really ended? Type ${count} to let them go: `);
  if (said.trim() !== String(count)) throw new AppError('COMMAND_USAGE', 'Nothing was confirmed.');
}

/** For people. Pure. */
function renderWaiting(waiting: readonly AskedRelease[], nowMs: number): string[] {
  if (waiting.length === 0) return ['Nothing waits: no release is held back.'];
  const rows = waiting.map(({ contractId, instanceIds, askedAt, reason }) => [
    contractId,
    instanceIds.join(', '),
    `${renderDuration(nowMs - askedAt)} ago`,
    reason,
  ]);
  return renderTable([['CONTRACT', 'INSTANCE', 'SINCE', 'ENDED BECAUSE'], ...rows]);
}

const toJson = ({ contractId, instanceIds, askedAt, reason }: AskedRelease): object => ({
  contract_id: contractId,
  instances: instanceIds,
  since: new Date(askedAt).toISOString(),
  reason,
});
