/**
 * Randomness, as a port: a seeded implementation makes a whole run repeatable. The Node implementation
 * (`lib/system-random.ts` of each program) reads the operating system's generator.
 */
export interface Random {
  /** `count` bytes, 1 to 65,536, fit for keys and nonces in the real implementation. */
  bytes(count: number): Uint8Array;
}

/** A number in [0, 1) with 32 bits of randomness: for jitter, never for secrets. */
export function randomFraction(random: Random): number {
  const [a = 0, b = 0, c = 0, d = 0] = random.bytes(4);
  return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) / 2 ** 32;
}
