/** Chance that can be repeated: the bytes follow from a seed. For simulators only; whoever knows the seed knows them. */
import { createHash } from 'node:crypto';
import type { Random } from '@dc/shared/random';

/** Random bytes that are the same for the same seed. */
export function seededRandom(seed: number): Random {
  let counter = 0;
  let left = Buffer.alloc(0);
  return {
    bytes: (count) => {
      while (left.length < count) {
        const block = createHash('sha256').update(`pve-sim ${seed} ${counter}`).digest();
        counter += 1;
        left = Buffer.concat([left, block]);
      }
      const bytes = left.subarray(0, count);
      left = left.subarray(count);
      return bytes;
    },
  };
}
