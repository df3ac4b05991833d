/** PURE: how records make proved spans grow; what proof-store.ts does in SQL, for those who check it. */
import type { ProvedSpan } from './judge-time.ts';

/** What a health record says. */
export interface HealthWord {
  at: number;
  isHealthy: boolean;
  hash: string;
}

/** The spans of a contract whose delivery was verified at `activeAt`, after these words in the order they came. */
export function spansOf(activeAt: number, words: readonly HealthWord[], proofMs: number): ProvedSpan[] {
  const spans: ProvedSpan[] = [
    { fromAt: activeAt, untilAt: activeAt + proofMs, firstProof: null, lastProof: null },
  ];
  for (const { at, isHealthy, hash } of words) {
    const newest = spans.at(-1);
    if (!isHealthy) {
      for (const span of spans) if (span.untilAt > at && span.fromAt <= at) span.untilAt = at;
    } else if (newest !== undefined && newest.fromAt <= at && newest.untilAt >= at) {
      newest.untilAt = Math.max(newest.untilAt, at + proofMs);
      newest.lastProof = hash;
    } else if (spans.every(({ untilAt }) => untilAt < at))
      spans.push({ fromAt: at, untilAt: at + proofMs, firstProof: hash, lastProof: hash });
  }
  return spans;
}
