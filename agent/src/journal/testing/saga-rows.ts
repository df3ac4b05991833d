/** Sagas, their events and records, as the suites of the journal write them. */
import type { ChainPlace, JournalWriter, SagaView } from '../journal.ts';
import type { StepEvent } from '../saga-event.ts';
import { CONTRACT_ID, NOON } from './builders.ts';

/** A saga as it is begun. */
export const aSaga = (wish: Partial<SagaView> = {}): Omit<SagaView, 'finished' | 'events'> => ({
  sagaId: 'saga-1',
  contractId: CONTRACT_ID,
  name: 'provision-instance',
  version: 1,
  orderId: 'order-provision-00c1',
  input: { spec: { cpu: 1 } },
  createdAt: NOON,
  ...wish,
});

/** The start of its step. */
export const started = (wish: Partial<StepEvent> = {}): StepEvent => ({
  sagaId: 'saga-1',
  step: 'create',
  event: 'started',
  attempt: 1,
  at: NOON,
  data: null,
  ...wish,
});

/** Appends a record whose JWS is as good as signed: the journal does not look into it. */
export const appendRecord = (writer: JournalWriter, agentKey = 'a', contractId = CONTRACT_ID): ChainPlace => {
  let seen: ChainPlace | undefined;
  writer.appendRecord({ agentKey, contractId, kind: 'provisioned', epoch: 1, at: NOON }, (place) => {
    seen = place;
    return `record ${String(place.seq)} of ${agentKey} after ${place.prev}`;
  });
  return seen!;
};
