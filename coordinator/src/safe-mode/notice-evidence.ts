/**
 * Holds what an agent was given by us against what we know: our own receipt for a record that we do not hold, or our
 * own order under an epoch that we never reached, proves that the database was set back. Only what our key has
 * signed counts, so that nobody else can make us stop.
 */
import { parseJws, verifyJws } from '@dc/shared/crypto/jws';
import { CHECKPOINT_TYP, type CheckpointPayload } from '@dc/shared/evidence/record';
import { ORDER_TYP, type OrderPayload } from '@dc/shared/orders/order';
import type { WireHeldEvidence } from '@dc/shared/wire/agent';
import type { Context } from '../context.ts';
import type { Transaction } from '../database/database.ts';
import { findHead } from '../evidence/record-store.ts';
import type { AgentPrincipal } from '../http/principal.ts';
import { enterSafeMode } from './safe-mode.ts';
import { findEpoch, wasTold } from './safe-mode-store.ts';

/** Enters the safe mode where the evidence is ahead of the database. Checks signatures only then. */
export async function noticeEvidence(
  context: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  held: WireHeldEvidence | undefined,
): Promise<void> {
  if (held === undefined) return;
  const { checkpoint, order } = held;
  const detail =
    (checkpoint === undefined ? null : await checkReceipt(context, trx, agent, checkpoint)) ??
    (order === undefined ? null : await checkOrder(context, trx, agent, order));
  if (detail === null) return;
  const proof = detail.proof;
  await enterSafeMode(context, trx, {
    cause: 'agent_ahead',
    detail: detail.text,
    agent_key: agent.publicKey,
    proof,
  });
}

interface Ahead {
  text: string;
  proof: string;
}

async function checkReceipt(
  { keys }: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  compact: string,
): Promise<Ahead | null> {
  const jws = parseJws(compact);
  const receipt = (jws?.payload ?? {}) as Partial<CheckpointPayload>;
  if (jws === null || receipt.agent !== agent.publicKey || typeof receipt.seq !== 'number') return null;
  const head = await findHead(trx, agent.publicKey);
  const isAhead = receipt.seq > head.seq || (receipt.seq === head.seq && receipt.hash !== head.hash);
  if (!isAhead || !keys.has(jws.kid) || !verifyJws(jws, CHECKPOINT_TYP)) return null;
  const text = `We have signed a receipt for record ${String(receipt.seq)} of this agent, and hold ${String(head.seq)}.`;
  return { text, proof: compact };
}

async function checkOrder(
  { keys, config }: Context,
  trx: Transaction,
  agent: AgentPrincipal,
  compact: string,
): Promise<Ahead | null> {
  const jws = parseJws(compact);
  const order = (jws?.payload ?? {}) as Partial<OrderPayload>;
  const { sub, epoch } = order;
  if (jws === null || typeof sub !== 'string' || typeof epoch !== 'number') return null;
  if (order.aud !== agent.publicKey || order.environment !== config.environment) return null;
  const known = await findEpoch(trx, sub);
  if (known !== null && known >= epoch) return null;
  // A contract that stays unknown was settled with the safe mode in which the agent told of it: no news.
  const told = { agentKey: agent.publicKey, contractId: sub, epoch };
  if (known === null && (await wasTold(trx, told))) return null;
  if (!keys.has(jws.kid) || !verifyJws(jws, ORDER_TYP)) return null;
  const what = known === null ? 'and do not know that contract' : `and have reached epoch ${String(known)}`;
  return {
    text: `We have signed an order for contract ${sub} under epoch ${String(epoch)}, ${what}.`,
    proof: compact,
  };
}
