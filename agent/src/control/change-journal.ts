/**
 * Changes something for the operator, whoever holds the journal: the running agent is asked; where none runs, the
 * command takes the journal's lock and does it itself.
 */
import type { Config } from '../config/config-schema.ts';
import { controlSocket, journalFile } from '../config/paths.ts';
import type { Journal } from '../journal/journal.ts';
import type { CommandWorld } from '../lib/command.ts';
import { askAgent } from './ask-agent.ts';
import type { ControlRequest } from './control-request.ts';

/**
 * Answers how many it was done to. `work` does it where no agent runs. Throws what either says, or DATABASE_LOCKED
 * where an agent runs that does not listen (it is just starting, or its socket could not be made).
 */
export async function changeJournal(
  config: Config,
  { clock, random }: Pick<CommandWorld, 'clock' | 'random'>,
  request: ControlRequest,
  work: (journal: Journal) => number | Promise<number>,
): Promise<number> {
  const answer = await askAgent(controlSocket(config.stateDir), request, clock);
  if (answer !== null) return answer;
  const { openJournal } = await import('../journal/open-journal.ts');
  const journal = openJournal(journalFile(config.stateDir), { random });
  try {
    return await work(journal);
  } finally {
    journal.close();
  }
}
