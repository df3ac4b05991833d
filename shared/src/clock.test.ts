import { describe, expect, it } from 'vitest';
import { sleep, type Clock } from './clock.ts';

/** A clock whose one timer fires when the test says so. */
function manualClock() {
  const timers: { delayMs: number; fire: () => void; cancelled: boolean }[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    schedule: (delayMs, callback) => {
      const timer = { delayMs, fire: callback, cancelled: false };
      timers.push(timer);
      return () => (timer.cancelled = true);
    },
  };
  return { clock, timers };
}

describe('sleep', () => {
  it('resolves when the clock fires, and stops listening to the signal', async () => {
    const { clock, timers } = manualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 250, controller.signal);
    expect(timers.map(({ delayMs }) => delayMs)).toEqual([250]);
    timers[0]!.fire();
    await sleeping;
    controller.abort();
    expect(timers[0]!.cancelled).toBe(false);
  });

  it('rejects with the reason of the signal, and leaves no timer behind', async () => {
    const { clock, timers } = manualClock();
    const controller = new AbortController();
    const sleeping = sleep(clock, 250, controller.signal);
    controller.abort(new Error('told to stop'));
    await expect(sleeping).rejects.toThrow('told to stop');
    expect(timers[0]!.cancelled).toBe(true);
  });

  it('sets no timer at all when the signal is aborted already', async () => {
    const { clock, timers } = manualClock();
    await expect(sleep(clock, 250, AbortSignal.abort(new Error('too late')))).rejects.toThrow('too late');
    expect(timers).toEqual([]);
  });
});
