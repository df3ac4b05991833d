import { AppError } from '@dc/shared/errors';
import { describe, expect, it } from 'vitest';
import { ManualClock, settle } from '@dc/shared/testing/manual-clock';
import { seededRandom } from '../testing/seeded-random.ts';
import { SILENT } from './log.ts';
import { runLoop, type Turn } from './loop.ts';
import { Nudge } from './nudge.ts';

function start(turn: Turn, clock = new ManualClock()) {
  const nudge = new Nudge();
  const controller = new AbortController();
  const lines: string[] = [];
  const log = { ...SILENT, warn: (_fields: object, message: string) => void lines.push(message) };
  const ended = runLoop(turn, {
    name: 'test',
    clock,
    random: seededRandom(1),
    log,
    nudge,
    backoff: { baseMs: 200, capMs: 60_000 },
    signal: controller.signal,
  });
  return { clock, nudge, controller, ended, lines };
}

describe('a loop', () => {
  it('turns at its pace, and at once when it is nudged', async () => {
    let turns = 0;
    const loop = start(() => Promise.resolve(((turns += 1), 1_000)));
    await loop.clock.advance(3_500);
    expect(turns).toBe(4);
    loop.nudge.nudge();
    await settle();
    expect(turns).toBe(5);
    loop.controller.abort();
    await loop.ended;
    expect(loop.clock.timerCount).toBe(0);
  });

  it('goes on after failures, slower and slower, without filling the log', async () => {
    const at: number[] = [];
    const clock = new ManualClock();
    const loop = start(() => {
      at.push(clock.monotonic());
      return Promise.reject(new AppError('COORDINATOR_UNREACHABLE'));
    }, clock);
    await loop.clock.advance(3_600_000);
    const pauses = at.slice(1).map((time, index) => time - at[index]!);
    expect(pauses[0]).toBeLessThanOrEqual(200);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(60_000);
    expect(pauses.at(-1)).toBeGreaterThanOrEqual(30_000);
    expect(at.length).toBeGreaterThan(60);
    expect(loop.lines.length).toBeLessThan(20);
    loop.controller.abort();
    await loop.ended;
  });

  it.each(['KEY_REVOKED', 'RECORD_FORK'] as const)(
    'ends with %s, which trying again cannot mend',
    async (code) => {
      const loop = start(() => Promise.reject(new AppError(code)));
      await expect(loop.ended).rejects.toMatchObject({ code });
    },
  );

  it('ends with a bug', async () => {
    const loop = start(() => Promise.reject(new TypeError('x is undefined')));
    await expect(loop.ended).rejects.toThrow('x is undefined');
  });

  it('ends quietly when it is stopped in the middle of a call', async () => {
    const loop = start(
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new AppError('SAGA_ABORTED')), { once: true });
        }),
    );
    await settle();
    loop.controller.abort();
    await loop.ended;
    expect(loop.lines).toEqual([]);
  });
});
