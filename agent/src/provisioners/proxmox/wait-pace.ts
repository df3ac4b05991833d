/**
 * Learns how long things take at a cluster, so that one is asked about when it is likely to have ended and seldom before:
 * twenty rentals at once must not bury the API in questions, and none should wait for an answer that is there. PURE.
 */

const PAUSE_MIN_MS = 25;
const PAUSE_MAX_MS = 1_000;
/** What nobody has seen yet is asked about after this, and then after a tenth of what it has taken so far. */
const FIRST_PAUSE_MS = 50;
/** From this share of the usual time on it may have ended. */
const SOON = 0.97;
/** Then a fiftieth of the usual time is what a late answer costs at most. */
const LATE = 0.02;

export class WaitPace {
  readonly #usualMs = new Map<string, number>();

  /** One of this kind took so long. The fast ones count: to ask too early costs a question, too late costs time. */
  note(kind: string, tookMs: number): void {
    const usual = this.#usualMs.get(kind) ?? tookMs;
    this.#usualMs.set(kind, tookMs < usual ? tookMs : usual * 0.9 + tookMs * 0.1);
  }

  /** How long to wait before asking again about one that was begun `waitedMs` ago. */
  pauseMs(kind: string, waitedMs: number): number {
    const usual = this.#usualMs.get(kind);
    if (usual === undefined) return clamp(Math.max(FIRST_PAUSE_MS, waitedMs / 10));
    const untilSoon = usual * SOON - waitedMs;
    if (untilSoon > 0) return clamp(untilSoon);
    return clamp(Math.max(usual * LATE, (waitedMs - usual) / 10));
  }
}

const clamp = (ms: number): number => Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, ms));
