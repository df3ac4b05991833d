import { describe, expect, it } from 'vitest';
import { sleep } from '@dc/shared/clock';
import { systemClock } from './system-clock.ts';

describe('the system clock', () => {
  it('fires once, and not at all when it is cancelled', async () => {
    const fired: string[] = [];
    const cancel = systemClock.schedule(0, () => fired.push('cancelled'));
    systemClock.schedule(-5, () => fired.push('fired'));
    cancel();
    cancel();
    await sleep(systemClock, 5);
    expect(fired).toEqual(['fired']);
  });

  it('does not fire at once for a delay that Node cannot count', async () => {
    let hasFired = false;
    const cancel = systemClock.schedule(2 ** 31 + 1000, () => (hasFired = true));
    await sleep(systemClock, 20);
    cancel();
    expect(hasFired).toBe(false);
  });
});
