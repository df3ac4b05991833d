/** The world of a command in a test: what it printed, and answers instead of a keyboard. */
import { readEnvironment } from '../config/environment.ts';
import type { CommandWorld } from '../lib/command.ts';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';

export interface TestWorld extends CommandWorld {
  /** Standard output so far. */
  readonly printed: () => string;
  /** Standard error so far. */
  readonly complained: () => string;
}

/** Makes one. `change` replaces parts of it. */
export function testWorld(change: Partial<CommandWorld> = {}): TestWorld {
  const out: string[] = [];
  const err: string[] = [];
  return {
    clock: systemClock,
    random: systemRandom,
    environment: readEnvironment({ PATH: '/usr/bin:/bin' }),
    isTerminal: false,
    print: (line) => void out.push(line),
    complain: (line) => void err.push(line),
    readSecret: () => Promise.reject(new Error('nobody is there to be asked')),
    readLine: () => Promise.reject(new Error('nobody is there to be asked')),
    signalled: () => new Promise(() => undefined),
    printed: () => out.join('\n'),
    complained: () => err.join('\n'),
    ...change,
  };
}
