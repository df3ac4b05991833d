/**
 * `dc-agent reset-password`: the provider has a new password made for a renter's instance. It goes the way of a reset
 * that the renter asks for, order, saga and record, so that only the renter can read what comes of it.
 */
import { AppError } from '@dc/shared/errors';
import { sleep } from '@dc/shared/clock';
import type { ContractView, JournalReader, SagaView } from '../journal/journal.ts';
import type { Failure, UnwindReason } from '../journal/saga-event.ts';
import { flagOption, textOption, type Command, type CommandWorld } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';

/** How long the command stays to hear what came of it. The order stands, whoever still listens. */
const WAIT_MS_MAX = 180_000;
const LOOK_MS = 200;

export const resetPasswordCommand: Command = {
  name: 'reset-password',
  summary: 'have a new password made for a renter’s instance',
  description:
    'Asks the coordinator for the order, carries it out in the running agent, and waits for its end. The new password ' +
    'is sealed to the keys of the renter’s account and is shown nowhere else, not here either: it is the renter’s. ' +
    'Their contract’s history says who asked.',
  options: [
    { flags: '--contract-id <id>', description: 'the contract' },
    { flags: '--json', description: 'print JSON' },
  ],
  async run(input, world) {
    const contractId = textOption(input, 'contractId');
    if (contractId === null)
      throw new AppError('COMMAND_USAGE', 'Say which contract: --contract-id ID.', {
        remedy: 'dc-agent status lists them.',
      });
    const { loadConfig } = await import('../config/load-config.ts');
    const { controlSocket, journalFile } = await import('../config/paths.ts');
    const { openJournalReader } = await import('../journal/open-journal.ts');
    const { askAgent } = await import('../control/ask-agent.ts');
    const config = await loadConfig(input.configFile);
    const reader = openJournalReader(journalFile(config.stateDir));
    try {
      const before = new Set(resetsOf(reader.contract(contractId)).map(({ sagaId }) => sagaId));
      const request = { command: 'reset_password', contract_id: contractId } as const;
      const answer = await askAgent(controlSocket(config.stateDir), request, world.clock);
      if (answer === null) throw new AppError('AGENT_STOPPED');
      const saga = await waitForEnd({ reader, contractId, before }, world);
      assertDone(saga);
      const text = 'The new password is set. Only the renter can read it: on the page of the contract.';
      world.print(flagOption(input, 'json') ? JSON.stringify({ contract_id: contractId, done: true }) : text);
      return EXIT.ok;
    } finally {
      reader.close();
    }
  },
};

const resetsOf = (view: ContractView | null): SagaView[] =>
  (view?.sagas ?? []).filter(({ name }) => name === 'reset-password');

/** The reset that was not there before, when it has ended. Null where it has not by then. */
async function waitForEnd(
  { reader, contractId, before }: { reader: JournalReader; contractId: string; before: Set<string> },
  { clock }: CommandWorld,
): Promise<SagaView | null> {
  const deadline = clock.monotonic() + WAIT_MS_MAX;
  while (clock.monotonic() < deadline) {
    const saga = resetsOf(reader.contract(contractId)).find(({ sagaId }) => !before.has(sagaId));
    if (saga !== undefined && saga.finished !== null) return saga;
    await sleep(clock, LOOK_MS);
  }
  return null;
}

function assertDone(saga: SagaView | null): void {
  if (saga?.finished?.outcome === 'reported') return;
  const remedy = 'Run dc-agent why with the contract’s id; the order stands until it is done or withdrawn.';
  if (saga?.finished == null)
    throw new AppError('PROVISIONER_UNAVAILABLE', 'The password is not set yet.', { remedy });
  const failure = failureOf(saga);
  throw new AppError(
    'COMMAND_FAILED',
    failure?.detail ?? 'The reset was withdrawn: the contract has moved on.',
    {
      remedy: failure?.remedy ?? remedy,
    },
  );
}

function failureOf({ events }: SagaView): Failure | null {
  const unwinding = events.find(({ event }) => event === 'unwinding')?.data as UnwindReason | undefined;
  return unwinding?.why === 'failed' ? unwinding.failure : null;
}
