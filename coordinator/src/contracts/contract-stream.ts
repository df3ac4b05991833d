/** The contract as a stream of server-sent events: the object as it is now, then after each change. */
import { viewContract } from './contract-view.ts';
import type { Context } from '../context.ts';
import type { RouteInput } from '../http/route.ts';
import { actorName } from '../http/principal.ts';

// How soon a browser comes back after a break.
const RETRY_MS = 500;

/**
 * Streams until the client goes or the server closes. The id of an event is the contract's version; a client that
 * comes back with Last-Event-ID gets the object only if it has changed since.
 */
export async function streamContract(context: Context, input: RouteInput, contractId: string): Promise<void> {
  const events = context.streams.open(input.raw.reply, actorName(input.principal), RETRY_MS);
  let sentVersion = Number(input.raw.request.headers['last-event-id']);
  let sentNotice: string | null = null;
  let changed = true;
  let wake: () => void = () => undefined;
  const stop = context.signals.listen('contract', contractId, () => {
    changed = true;
    wake();
  });
  events.signal.addEventListener('abort', () => {
    wake();
  });
  try {
    while (!events.signal.aborted) {
      if (!changed) {
        await new Promise<void>((resolve) => (wake = resolve));
        continue;
      }
      changed = false;
      const contract = await viewContract(context.db.read, contractId, context.clock.now());
      if (contract === null) continue;
      // An announcement of the provider changes no contract, and is told all the same.
      const notice = JSON.stringify(contract.notice ?? null);
      const isKnown = contract.version === sentVersion && (sentNotice ?? notice) === notice;
      sentNotice = notice;
      if (isKnown) continue;
      sentVersion = contract.version;
      events.send({ event: 'contract', id: String(contract.version), data: contract });
    }
  } finally {
    stop();
  }
}
