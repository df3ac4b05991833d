/** The operating system's random generator: the only place in the agent that draws random bytes. */
import { randomBytes } from 'node:crypto';
import type { Random } from '@dc/shared/random';

/** Fit for keys, tokens and nonces. */
export const systemRandom: Random = { bytes: (count) => randomBytes(count) };
