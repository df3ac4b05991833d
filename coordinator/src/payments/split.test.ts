import { describe, expect, it } from 'vitest';
import { aContract, MADE_AT } from '../contracts/testing/contract-row.ts';
import { splitAt } from './split.ts';

const HOUR_MS = 3_600_000;
const startedAt = MADE_AT + 1000;

describe('the split of a contract’s money', () => {
  it('is nothing of both where nothing was paid', () => {
    expect(splitAt(aContract({ paid_at: null }), startedAt)).toEqual({ refundE9s: 0n, releasedE9s: 0n });
  });

  it('gives all back before delivery is verified, however long that takes', () => {
    const contract = aContract({ state: 'provisioned', active_at: null });
    expect(splitAt(contract, startedAt + 20 * HOUR_MS)).toEqual({ refundE9s: 100_000_000n, releasedE9s: 0n });
  });

  it('is never more or less than what was paid, in any millisecond', () => {
    const contract = aContract({ total_e9s: 99_999_999_999_999_989n, setup_fee_e9s: 1_234_567n });
    for (let afterMs = -2; afterMs < 10 * HOUR_MS + 5000; afterMs += 123_457) {
      const { refundE9s, releasedE9s } = splitAt(contract, startedAt + afterMs);
      expect(refundE9s + releasedE9s).toBe(contract.total_e9s);
      expect(refundE9s).toBeGreaterThanOrEqual(0n);
      expect(releasedE9s).toBeGreaterThanOrEqual(contract.setup_fee_e9s);
    }
  });

  it('counts neither pauses that are over nor the one that lasts as used', () => {
    const contract = aContract({
      state: 'paused',
      paused_ms: 2 * HOUR_MS,
      paused_at: startedAt + 4 * HOUR_MS,
    });
    expect(splitAt(contract, startedAt + 9 * HOUR_MS)).toEqual({
      refundE9s: 80_000_000n,
      releasedE9s: 20_000_000n,
    });
  });
});
