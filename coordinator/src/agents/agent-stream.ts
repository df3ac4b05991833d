/** The stream on which the coordinator nudges an agent: an accelerator, never the truth. The work itself is pulled. */
import type { Context } from '../context.ts';
import type { AgentPrincipal } from '../http/principal.ts';
import type { RouteInput } from '../http/route.ts';
import { actorName } from '../http/principal.ts';

// Agents jitter their own reconnects; this is for other clients.
const RETRY_MS = 1_000;

/** Sends `hello` at once (so that a reconnecting agent looks for work) and `work` whenever its pool has some. */
export async function streamNudges(
  context: Context,
  input: RouteInput,
  agent: AgentPrincipal,
): Promise<void> {
  const events = context.streams.open(input.raw.reply, actorName(agent), RETRY_MS);
  const stop = context.signals.listen('pool', agent.poolId, () => {
    events.send({ event: 'work', data: {} });
  });
  events.send({ event: 'hello', data: { agent: agent.publicKey } });
  await new Promise<void>((resolve) => {
    events.signal.addEventListener('abort', () => {
      resolve();
    });
    if (events.signal.aborted) resolve();
  });
  stop();
}
