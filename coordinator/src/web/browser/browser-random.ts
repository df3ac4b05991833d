/** The browser's generator behind the `Random` port. */
import type { Random } from '@dc/shared/random';

/** Fit for keys and nonces. */
export const browserRandom: Random = { bytes: (count) => crypto.getRandomValues(new Uint8Array(count)) };
