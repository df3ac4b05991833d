import { describe, expect, it } from 'vitest';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { Nudge } from './nudge.ts';

const never = new AbortController().signal;

describe('a nudge', () => {
  it('ends the wait that is going on', async () => {
    const clock = new ManualClock();
    const nudge = new Nudge();
    const waited = nudge.wait(clock, 60_000, never);
    nudge.nudge();
    expect(await waited).toBe(true);
    expect(clock.timerCount).toBe(0);
  });

  it('is remembered once until somebody waits', async () => {
    const clock = new ManualClock();
    const nudge = new Nudge();
    nudge.nudge();
    nudge.nudge();
    expect(await nudge.wait(clock, 60_000, never)).toBe(true);
    const second = nudge.wait(clock, 60_000, never);
    await clock.advance(60_000);
    expect(await second).toBe(false);
  });

  it('leaves nothing behind when it is aborted, before or during the wait', async () => {
    const clock = new ManualClock();
    const nudge = new Nudge();
    const controller = new AbortController();
    const waited = nudge.wait(clock, 60_000, controller.signal);
    controller.abort();
    expect(await waited).toBe(false);
    expect(await nudge.wait(clock, 60_000, controller.signal)).toBe(false);
    expect(clock.timerCount).toBe(0);
  });
});
