import { AppError } from '@dc/shared/errors';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../testing/seeded-random.ts';
import { describeFailure, planRetry } from './retry.ts';
import { BOUNDED, UNTIL_IT_WORKS } from './saga.ts';

const NOW = 1_000_000;
const at = { now: NOW, random: seededRandom('retry') };
const first = { attempts: 1, firstStartedAt: NOW };

describe('Planning a retry', () => {
  it('tries again, within the backoff, what may succeed without anybody changing it', () => {
    const { code, retryAt } = planRetry(new AppError('PROVISIONER_UNAVAILABLE'), BOUNDED, first, at);
    expect(code).toBe('PROVISIONER_UNAVAILABLE');
    expect(retryAt).toBeGreaterThan(NOW);
    expect(retryAt).toBeLessThanOrEqual(NOW + BOUNDED.baseMs);
  });

  it('gives up on what is wrong, foreign or a bug', () => {
    for (const error of [
      new AppError('PROVISIONER_SPEC_UNSUPPORTED'),
      new AppError('PROVISIONER_FOREIGN'),
      new Error('bug'),
    ]) {
      expect(planRetry(error, BOUNDED, first, at).retryAt).toBeNull();
    }
  });

  it('gives up after the last try', () => {
    const error = new AppError('PROVISIONER_FAILED');
    const tries = (attempts: number): number | null =>
      planRetry(error, BOUNDED, { ...first, attempts }, at).retryAt;
    expect(tries(BOUNDED.attempts - 1)).not.toBeNull();
    expect(tries(BOUNDED.attempts)).toBeNull();
  });

  it('gives up when the next try would come after the time is over', () => {
    const error = new AppError('PROVISIONER_FAILED', undefined, { retryAfterMs: 60_000 });
    const since = (ms: number): number | null =>
      planRetry(error, BOUNDED, { attempts: 2, firstStartedAt: NOW - ms }, at).retryAt;
    expect(since(BOUNDED.totalMs - 60_001)).not.toBeNull();
    expect(since(BOUNDED.totalMs - 59_999)).toBeNull();
  });

  it('comes no sooner than the backend asks for', () => {
    const error = new AppError('PROVISIONER_UNAVAILABLE', undefined, { retryAfterMs: 20_000 });
    expect(planRetry(error, BOUNDED, first, at).retryAt).toBe(NOW + 20_000);
  });

  it('goes on for ever, whatever the error, where it must work in the end', () => {
    const tries = { attempts: 1_000, firstStartedAt: 0 };
    const { retryAt } = planRetry(new AppError('PROVISIONER_FOREIGN'), UNTIL_IT_WORKS, tries, at);
    expect(retryAt).toBeGreaterThan(NOW);
    expect(retryAt).toBeLessThanOrEqual(NOW + UNTIL_IT_WORKS.capMs);
  });

  it('keeps the text of our own errors only', () => {
    const ours = describeFailure(
      new AppError('PROVISIONER_FAILED', 'The clone failed.', { remedy: 'Look.' }),
    );
    expect(ours).toEqual({ code: 'PROVISIONER_FAILED', detail: 'The clone failed.', remedy: 'Look.' });
    expect(JSON.stringify(describeFailure(new Error('password=hunter2')))).not.toContain('hunter2');
  });
});
