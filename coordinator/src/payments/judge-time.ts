/**
 * Which of a rental's time is proved, to the millisecond. Pure. The published formula (docs/money.md): the verified
 * delivery, and every record that says `healthy`, proves the time that follows it for as long as a proof lasts; a
 * record that says anything else ends that at once. Time that nothing proves is not paid for.
 */

/** A stretch of proved time: proofs that follow each other without a gap. */
export interface ProvedSpan {
  fromAt: number;
  untilAt: number;
  /** The hash of the record that began it; null where the verified delivery did. */
  firstProof: string | null;
  /** The hash of the record that last prolonged it; null where none did. */
  lastProof: string | null;
}

/** From `fromAt` to just before `toAt`, in milliseconds since the epoch. */
export interface Interval {
  fromAt: number;
  toAt: number;
}

/** Time that nothing proves, between what does. */
export interface Gap extends Interval {
  reason: 'unproved' | 'maintenance';
  /** The last proof before it (of maintenance: its announcement) and the first after it; null where there is none. */
  proofBefore: string | null;
  proofAfter: string | null;
}

export interface Judgement {
  /** Everything before this moment is decided. */
  untilAt: number;
  provedMs: number;
  gaps: Gap[];
  /** The first and last record that prove anything of it. */
  firstProof: string | null;
  lastProof: string | null;
  /** True where time was left undecided because its evidence may still come. */
  isWaiting: boolean;
}

/** What is to be judged. */
export interface TimeInQuestion extends Interval {
  /** When it was paused, in order: neither proved nor unproved, and not paid for. */
  pauses: readonly Interval[];
  /** In order, without overlaps. */
  spans: readonly ProvedSpan[];
  /** No evidence about anything before this moment can come any more. */
  finalUntilAt: number;
  /** How much of the paid time is left: what is beyond it is nobody's. */
  leftMs: number;
}

/** Judges the time in question, up to where it can be decided. */
export function judgeTime(question: TimeInQuestion): Judgement {
  const { fromAt, toAt, pauses, spans, finalUntilAt } = question;
  const result: Judgement = {
    untilAt: Math.max(fromAt, toAt),
    provedMs: 0,
    gaps: [],
    firstProof: null,
    lastProof: null,
    isWaiting: false,
  };
  let leftMs = question.leftMs;
  for (const running of without(pauses, { fromAt, toAt })) {
    for (const { span, ...slice } of cutBySpans(spans, running)) {
      const end = Math.min(slice.toAt, slice.fromAt + leftMs);
      const decidedTo = span === null ? Math.min(end, Math.max(slice.fromAt, finalUntilAt)) : end;
      leftMs -= decidedTo - slice.fromAt;
      if (span !== null && decidedTo > slice.fromAt) {
        result.provedMs += decidedTo - slice.fromAt;
        result.firstProof ??= span.firstProof;
        result.lastProof = span.lastProof ?? result.lastProof;
      } else if (decidedTo > slice.fromAt)
        result.gaps.push({
          ...{ fromAt: slice.fromAt, toAt: decidedTo, reason: 'unproved' },
          ...proofsAround(spans, slice),
        });
      if (decidedTo < end) return { ...result, untilAt: decidedTo, isWaiting: true };
    }
  }
  return result;
}

/** What is left of `whole` without `holes`. */
function without(holes: readonly Interval[], { fromAt, toAt }: Interval): Interval[] {
  const rest: Interval[] = [];
  let at = fromAt;
  for (const hole of holes) {
    if (hole.toAt <= at || hole.fromAt >= toAt) continue;
    if (hole.fromAt > at) rest.push({ fromAt: at, toAt: hole.fromAt });
    at = hole.toAt;
  }
  if (at < toAt) rest.push({ fromAt: at, toAt });
  return rest;
}

/** `whole` in slices, each within one span or between two. */
function cutBySpans(
  spans: readonly ProvedSpan[],
  { fromAt, toAt }: Interval,
): (Interval & { span: ProvedSpan | null })[] {
  const slices: (Interval & { span: ProvedSpan | null })[] = [];
  let at = fromAt;
  for (const span of spans) {
    const begins = Math.max(span.fromAt, at);
    const ends = Math.min(span.untilAt, toAt);
    if (ends <= begins) continue;
    if (begins > at) slices.push({ fromAt: at, toAt: begins, span: null });
    slices.push({ fromAt: begins, toAt: ends, span });
    at = ends;
  }
  if (at < toAt) slices.push({ fromAt: at, toAt, span: null });
  return slices;
}

function proofsAround(spans: readonly ProvedSpan[], { fromAt, toAt }: Interval) {
  const before = spans.findLast((span) => span.untilAt <= fromAt);
  const after = spans.find((span) => span.fromAt >= toAt);
  return {
    proofBefore: before?.lastProof ?? before?.firstProof ?? null,
    proofAfter: after?.firstProof ?? null,
  };
}

/** A time of maintenance that was announced before it came, and the record that did. */
export interface Maintenance extends Interval {
  announcement: string;
}

/** The same gaps, where maintenance was announced under that name. It is credited like any other gap. */
export function nameMaintenance(gaps: readonly Gap[], announced: readonly Maintenance[]): Gap[] {
  return gaps.flatMap((gap) => {
    const slices = cutBySpans(
      announced.map(({ fromAt, toAt, announcement }) => ({
        ...{ fromAt, untilAt: toAt, firstProof: announcement, lastProof: null },
      })),
      gap,
    );
    return slices.map(({ fromAt, toAt, span }): Gap => {
      if (span === null) return { ...gap, fromAt, toAt };
      return { ...gap, fromAt, toAt, reason: 'maintenance', proofBefore: span.firstProof };
    });
  });
}
