/** The operating system's generator behind the `Random` port. */
import { randomBytes } from 'node:crypto';
import type { Random } from '@dc/shared/random';

/** The real randomness of a running coordinator; fit for keys and nonces. */
export const systemRandom: Random = { bytes: (count) => randomBytes(count) };
