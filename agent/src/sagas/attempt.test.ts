import { AppError } from '@dc/shared/errors';
import { describe, expect, it } from 'vitest';
import { ManualClock, settle } from '@dc/shared/testing/manual-clock';
import { attempt } from './attempt.ts';

const never = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });

describe('One try', () => {
  it('answers what the call answers, and leaves no timer', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    expect(await attempt(async () => 7, { clock, timeoutMs: 1_000, signal })).toEqual({
      ended: 'succeeded',
      value: 7,
    });
    const error = new AppError('PROVISIONER_FAILED');
    const failing = (): Promise<never> => Promise.reject(error);
    expect(await attempt(failing, { clock, timeoutMs: 1_000, signal })).toEqual({ ended: 'failed', error });
    expect(clock.timerCount).toBe(0);
  });

  it('that takes too long has failed, and may be tried again', async () => {
    const clock = new ManualClock();
    const trying = attempt(never, { clock, timeoutMs: 5_000, signal: new AbortController().signal });
    await clock.advance(5_000);
    const result = await trying;
    expect(result).toMatchObject({
      ended: 'failed',
      error: { code: 'PROVISIONER_UNAVAILABLE', isRetryable: true },
    });
  });

  it('that is told to stop has not failed, whatever it says', async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const rude = (signal: AbortSignal): Promise<never> =>
      never(signal).catch(() => Promise.reject(new AppError('PROVISIONER_FOREIGN')));
    const trying = attempt(rude, { clock, timeoutMs: 5_000, signal: controller.signal });
    controller.abort();
    expect(await trying).toEqual({ ended: 'stopped' });
    expect(clock.timerCount).toBe(0);
  });

  it('that is told to stop and succeeds all the same has succeeded', async () => {
    const controller = new AbortController();
    const stubborn = (signal: AbortSignal): Promise<string> => never(signal).catch(() => 'made');
    const trying = attempt(stubborn, {
      clock: new ManualClock(),
      timeoutMs: 5_000,
      signal: controller.signal,
    });
    controller.abort();
    expect(await trying).toEqual({ ended: 'succeeded', value: 'made' });
  });

  it('is waited for, also when it is slow to stop', async () => {
    const controller = new AbortController();
    let end = (): void => undefined;
    const slow = (): Promise<void> => new Promise((resolve) => (end = resolve));
    let isOver = false;
    const trying = attempt(slow, { clock: new ManualClock(), timeoutMs: 5_000, signal: controller.signal });
    void trying.then(() => (isOver = true));
    controller.abort();
    await settle();
    expect(isOver).toBe(false);
    end();
    expect((await trying).ended).toBe('succeeded');
  });

  it('that finds its lease gone stops', async () => {
    const stale = (): Promise<never> => Promise.reject(new AppError('LEASE_STALE'));
    const options = { clock: new ManualClock(), timeoutMs: 5_000, signal: new AbortController().signal };
    expect(await attempt(stale, options)).toEqual({ ended: 'stopped' });
  });
});
