/**
 * What time does to contracts: expiry at its minute, and the time-outs that end what nobody delivers, with the money
 * back (invariant I2). Runs every second; each contract changes in a transaction of its own.
 */
import type { Context } from '../context.ts';
import type { ContractEvent, ContractState } from '@dc/shared/state/contract';
import { moveContract } from './contract-service.ts';
import { findContract, type ContractChange } from './contract-store.ts';

interface TimeoutRule {
  state: ContractState;
  afterMs: (context: Context) => number;
  event: ContractEvent;
  reason: string;
  change: ContractChange;
}

const failure = (code: string, detail: string): ContractChange => ({
  last_error: JSON.stringify({
    code,
    detail,
    remedy: 'You get all of your money back. Choose another offering, or try again later.',
  }),
});

const RULES: readonly TimeoutRule[] = [
  {
    state: 'requested',
    afterMs: ({ config }) => config.contracts.requestTimeoutMs,
    event: 'cancel',
    reason: 'It was not paid and accepted in time.',
    change: {},
  },
  {
    state: 'accepted',
    afterMs: ({ config }) => config.contracts.acceptTimeoutMs,
    event: 'reject',
    reason: 'No agent took it in time.',
    change: failure('OFFERING_UNSERVED', 'No agent took the order in time.'),
  },
  {
    state: 'provisioning',
    afterMs: ({ config }) => config.contracts.provisionTimeoutMs,
    event: 'fail',
    reason: 'The instance was not delivered in time.',
    change: failure('INSTANCE_UNREACHABLE', 'The instance was not delivered in time.'),
  },
];

// One pass takes at most this many of each kind; the next second takes the rest.
const BATCH = 100;

/** Ends what is due. Safe to run in several processes at once: each change is conditional. */
export async function runTimeouts(context: Context): Promise<void> {
  const now = context.clock.now();
  for (const rule of RULES) {
    const due = await context.db.read
      .selectFrom('contracts')
      .select('id')
      .where('state', '=', rule.state)
      .where('state_since_at', '<=', now - rule.afterMs(context))
      .limit(BATCH)
      .execute();
    for (const { id } of due) await endContract(context, id, rule);
  }
  const expired = await context.db.read
    .selectFrom('contracts')
    .select('id')
    .where('state', 'in', ['active', 'paused'])
    .where('ends_at', '<=', now)
    .limit(BATCH)
    .execute();
  for (const { id } of expired) {
    await context.db.write(async (trx) => {
      const contract = await findContract(trx, id);
      if (contract === null || contract.ends_at === null || contract.ends_at > context.clock.now()) return;
      if (contract.state !== 'active' && contract.state !== 'paused') return;
      await moveContract(context, trx, contract, {
        event: 'expire',
        actor: 'system',
        reason: 'The paid time is over.',
      });
    });
  }
}

function endContract(context: Context, id: string, rule: TimeoutRule): Promise<void> {
  return context.db.write(async (trx) => {
    const contract = await findContract(trx, id);
    // Somebody moved it since we looked: then it is not late any more.
    if (
      contract?.state !== rule.state ||
      contract.state_since_at > context.clock.now() - rule.afterMs(context)
    )
      return;
    await moveContract(
      context,
      trx,
      contract,
      { event: rule.event, actor: 'system', reason: rule.reason },
      rule.change,
    );
  });
}
