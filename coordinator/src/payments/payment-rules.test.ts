import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PaymentStatus } from './payment-provider.ts';
import {
  isWaiting,
  nextLookAt,
  nextPayment,
  type PaymentRowState,
  type PaymentStep,
} from './payment-rules.ts';

const STATUSES: readonly PaymentStatus[] = [
  ...(['open', 'processing', 'authorised', 'paid', 'failed', 'expired', 'voided'] as const),
];
const HOUR_MS = 3_600_000;

/** Tells all of `facts` to a payment that was just asked for. */
function tell(facts: readonly PaymentStatus[]): { state: PaymentRowState; steps: PaymentStep[] } {
  let state: PaymentRowState = 'asked';
  const steps: PaymentStep[] = [];
  for (const fact of facts) {
    const next = nextPayment(state, fact);
    if (next.step !== 'nothing') steps.push(next.step);
    state = next.state;
  }
  return { state, steps };
}

const count = (steps: readonly PaymentStep[], step: PaymentStep): number =>
  steps.filter((each) => each === step).length;

describe('facts about a payment', () => {
  it('in any order, and any number of times, book money once at most', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...STATUSES), { maxLength: 20 }), (facts) => {
        const { state, steps } = tell(facts);
        const hasMoney = facts.includes('paid') || facts.includes('authorised');
        expect(count(steps, 'arrived')).toBeLessThanOrEqual(1);
        expect(count(steps, 'captured')).toBeLessThanOrEqual(1);
        expect(count(steps, 'lost')).toBeLessThanOrEqual(1);
        // Money that was seen is booked, whatever was said before or after.
        expect(count(steps, 'arrived')).toBe(hasMoney ? 1 : 0);
        expect(['paid', 'authorised', 'voided'].includes(state)).toBe(hasMoney);
        // What was taken is not lost by being told so.
        if (count(steps, 'lost') === 1) expect(state).toBe('voided');
      }),
    );
  });

  it('told again change nothing', () => {
    fc.assert(
      fc.property(fc.constantFrom(...STATUSES), fc.array(fc.constantFrom(...STATUSES)), (last, before) => {
        const { state } = tell([...before, last]);
        expect(nextPayment(state, last)).toEqual({ state, step: 'nothing' });
      }),
    );
  });
});

describe('asking for the truth', () => {
  it('comes later each time, at least hourly, as long as anything can change', () => {
    const waits = Array.from({ length: 12 }, (_, looks) => nextLookAt('open', looks, 0) ?? 0);
    expect(waits[0]).toBe(60_000);
    expect(waits.every((wait, index) => wait >= (waits[index - 1] ?? 0) && wait <= HOUR_MS)).toBe(true);
    expect(waits.at(-1)).toBe(HOUR_MS);
    for (const state of ['paid', 'failed', 'closed', 'voided'] as const) {
      expect(nextLookAt(state, 0, 0)).toBeNull();
      expect(isWaiting(state)).toBe(false);
    }
    // An authorisation can be lost without a word.
    expect(nextLookAt('authorised', 0, 0)).not.toBeNull();
  });
});
