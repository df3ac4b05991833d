/** Repeatable randomness for tests. Never for keys that protect anything. */
import { createHash } from 'node:crypto';
import type { Random } from '@dc/shared/random';

/** The same seed gives the same bytes in the same order. */
export function seededRandom(seed: string | number): Random {
  let count = 0;
  return {
    bytes(length: number): Uint8Array {
      const bytes = new Uint8Array(length);
      for (let offset = 0; offset < length; offset += 32) {
        const block = createHash('sha256')
          .update(`${String(seed)}:${String((count += 1))}`)
          .digest();
        bytes.set(block.subarray(0, Math.min(32, length - offset)), offset);
      }
      return bytes;
    },
  };
}
