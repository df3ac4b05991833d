/** `dc-agent why`: why a contract is where it is, from the journal alone. */
import type { Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { attemptCells, explanationRows, type WireExplanation } from '@dc/shared/wire/explanation';
import type { Config } from '../config/config-schema.ts';
import type { JournalReader } from '../journal/journal.ts';
import { flagOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { renderTable } from '../lib/render-table.ts';
import type { SagaParts } from '../sagas/saga-parts.ts';

export const whyCommand: Command = {
  name: 'why',
  summary: 'explain what the agent does, or does not do, about a contract',
  description:
    'Says what is wanted of a contract, what is there, what comes next, what blocks it since when, and what was ' +
    'tried. Asks the running agent, which has looked at the backend; where none runs, the journal says what it can. ' +
    'The beginning of the id is enough.',
  args: [{ flags: '<contract>', description: 'the id of the contract, or its beginning' }],
  options: [{ flags: '--json', description: 'print JSON' }],
  async run(input, world) {
    const { loadConfig } = await import('../config/load-config.ts');
    const config = await loadConfig(input.configFile);
    const { openJournalReader } = await import('../journal/open-journal.ts');
    const { journalFile } = await import('../config/paths.ts');
    const journal = openJournalReader(journalFile(config.stateDir));
    try {
      const contractId = findContract(journal, input.args[0] ?? '');
      const explanation =
        (await askRunning(config, contractId, world.clock)) ??
        (await explainContract(journal, contractId, config, world.clock.now()));
      if (flagOption(input, 'json')) world.print(JSON.stringify(explanation));
      else for (const line of renderExplanation(explanation)) world.print(line);
      return EXIT.ok;
    } finally {
      journal.close();
    }
  },
};

function findContract(journal: JournalReader, start: string): string {
  const found = journal.contractIds('all').filter((id) => id.startsWith(start.toLowerCase()));
  const [only, ...others] = found;
  if (only === undefined) {
    throw new AppError('CONTRACT_NOT_FOUND', `This agent has never had an order for a contract ${start}.`, {
      remedy: 'Check the id; another agent of the pool may serve this contract.',
    });
  }
  if (others.length > 0)
    throw new AppError('COMMAND_USAGE', `${found.length} contracts begin with ${start}.`);
  return only;
}

/** What the running agent says; null where none does, and the journal has to do. */
async function askRunning(
  { stateDir }: Config,
  contractId: string,
  clock: Clock,
): Promise<WireExplanation | null> {
  const { askWhy } = await import('../control/ask-agent.ts');
  const { controlSocket } = await import('../config/paths.ts');
  try {
    return await askWhy(controlSocket(stateDir), contractId, clock);
  } catch (error) {
    if (!isAppError(error)) throw error;
    return null; // It is starting, stopping, of another version, or another user's: the journal can be read all the same.
  }
}

async function explainContract(
  journal: JournalReader,
  contractId: string,
  { limits }: Config,
  now: number,
): Promise<WireExplanation> {
  const { explain } = await import('../reconcile/explain.ts');
  const { desiredOf } = await import('../reconcile/desired.ts');
  const { allSagas } = await import('../sagas/all-sagas.ts');
  const view = journal.contract(contractId);
  if (view === null) throw new AppError('CONTRACT_NOT_FOUND');
  // Definitions are looked at and never run: their parts are not needed.
  const definitions = allSagas({ sshTimeoutMs: limits.sshTimeoutMs } as SagaParts);
  const atWork = journal
    .contractIds('live')
    .filter((id) => id !== contractId && journal.contract(id)?.sagas.some((saga) => saga.finished === null));
  return explain({
    view,
    desired: desiredOf(view),
    observed: {
      existence: { existence: 'unknown', reason: 'only the running agent asks the backend' },
      at: 0,
    },
    now,
    definitionOf: ({ name, version }) =>
      definitions.find((definition) => definition.name === name && definition.version === version) ?? null,
    slotFree: atWork.length < limits.parallel,
  });
}

/** For people. */
function renderExplanation(explanation: WireExplanation): string[] {
  const lines = renderTable(explanationRows(explanation));
  const { last_attempts: attempts } = explanation;
  if (attempts.length === 0) return lines;
  return [...lines, '', 'last attempts', ...renderTable(attempts.map(attemptCells), '  ')];
}
