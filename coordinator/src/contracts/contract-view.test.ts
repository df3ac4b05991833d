import { describe, expect, it } from 'vitest';
import { CONTRACT_STATES, isTerminal, type ContractState } from '@dc/shared/state/contract';
import { composeContract } from './contract-view.ts';
import type { ContractRow, HistoryRow } from './contract-store.ts';
import { aContract, MADE_AT } from './testing/contract-row.ts';

/** The history of the states, each with its time after the contract was made. */
function historyOf(...steps: [state: ContractState, afterMs: number][]): HistoryRow[] {
  return steps.map(([to_state, afterMs], index) => ({
    contract_id: aContract().id,
    version: index + 1,
    at: MADE_AT + afterMs,
    from_state: steps[index - 1]?.[0] ?? null,
    to_state,
    event: 'event',
    actor: 'system',
    reason: 'A reason.',
  }));
}

const WHOLE = historyOf(
  ['requested', 0],
  ['accepted', 100],
  ['provisioning', 140],
  ['provisioned', 900],
  ['active', 1000],
);
const view = (change: Partial<ContractRow>, history = WHOLE, now = MADE_AT + 2000) =>
  composeContract(
    aContract(change),
    { history, refunded: 0n, refundIfCancelled: 50_000_000n, extensions: [] },
    now,
  );
const stages = (change: Partial<ContractRow>, history: HistoryRow[]) =>
  view(change, history).stages.map(({ name, duration_ms }) => [name, duration_ms]);

describe('the stages of a contract', () => {
  it('follow each other without a gap, up to the login', () => {
    const { stages: all } = view({ paid_at: MADE_AT + 100 });
    expect(all.map(({ name }) => name)).toEqual(['payment', 'queue', 'provisioning', 'verification']);
    for (const [index, stage] of all.entries())
      if (index > 0) expect(stage.started_at).toBe(all[index - 1]?.ended_at);
    expect(all.map(({ duration_ms }) => duration_ms)).toEqual([100, 40, 760, 100]);
  });

  it('end where the contract has come to', () => {
    const waiting = { paid_at: null, active_at: null, provisioned_at: null };
    expect(stages({ state: 'requested', ...waiting }, WHOLE.slice(0, 1))).toEqual([['payment', null]]);
    expect(stages({ state: 'accepted', ...waiting, paid_at: MADE_AT + 100 }, WHOLE.slice(0, 2))).toEqual([
      ['payment', 100],
      ['queue', null],
    ]);
  });

  it('are closed by an early end', () => {
    const history = historyOf(['requested', 0], ['accepted', 0], ['provisioning', 40], ['cancelled', 640]);
    const change = { state: 'cancelled', active_at: null, ended_at: MADE_AT + 640 } as const;
    expect(stages(change, history)).toEqual([
      ['payment', 0],
      ['queue', 40],
      ['provisioning', 600],
    ]);
  });

  it('do not go on with money that came after the end', () => {
    const history = historyOf(['requested', 0], ['cancelled', 500]);
    const change = { state: 'cancelled', active_at: null, ended_at: MADE_AT + 500 } as const;
    expect(stages({ ...change, paid_at: MADE_AT + 900 }, history)).toEqual([['payment', 900]]);
  });

  it('are not begun again by a pause', () => {
    const history = [...WHOLE, ...historyOf(['paused', 5000], ['active', 9000])];
    expect(stages({}, history).at(-1)).toEqual(['verification', 100]);
  });
});

describe('the contract that its parties see', () => {
  const access = JSON.stringify({ host: '203.0.113.7' });

  it.each(CONTRACT_STATES)('shows the way in while there is one: %s', (state) => {
    const isThere = ['provisioned', 'active', 'paused'].includes(state);
    expect(view({ state, access }).access).toEqual(isThere ? { host: '203.0.113.7' } : null);
  });

  it.each(CONTRACT_STATES)('shows what a cancellation would refund while there can be one: %s', (state) => {
    const refund = view({ state }, WHOLE, MADE_AT + 1000 + 5 * 3_600_000).refund_if_cancelled_now;
    expect(refund).toEqual(isTerminal(state) ? null : { amount_e9s: '50000000', currency: 'USD' });
  });

  it('shows nothing as refunded where nothing was', () => {
    expect(view({}).refunded).toBeNull();
    expect(
      composeContract(
        aContract({ state: 'cancelled' }),
        { history: WHOLE, refunded: 7n, refundIfCancelled: 0n, extensions: [] },
        MADE_AT,
      ).refunded,
    ).toEqual({
      amount_e9s: '7',
      currency: 'USD',
    });
  });
});
