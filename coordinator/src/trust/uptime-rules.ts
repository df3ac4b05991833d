/**
 * How much of the time an agent was there, from what is known and nothing else (I16). Announced maintenance is no
 * time that counts, from the moment on at which the announcement came in: nobody can announce an outage afterwards.
 */

/** Milliseconds since the epoch; `to` is not in it. */
export interface Span {
  from: number;
  to: number;
}

/** What an availability record said, and when it came in. */
export interface Announcement {
  seq: number;
  receivedAt: number;
  draining: boolean;
  maintenanceUntil: number | null;
}

/** A time without new work that was announced. `to` is null where no end is. */
export interface Announced {
  seq: number;
  kind: 'draining' | 'maintenance';
  from: number;
  to: number | null;
}

/** The times that the records announced, oldest first: each stands until the next one came, or its own end. */
export function announcedTimes(records: readonly Announcement[]): Announced[] {
  return records.flatMap(({ seq, receivedAt: from, draining, maintenanceUntil }, index) => {
    const next = records[index + 1]?.receivedAt ?? null;
    const ends = [next, draining ? null : maintenanceUntil].filter((end) => end !== null);
    const to = ends.length === 0 ? null : Math.min(...ends);
    if (!draining && maintenanceUntil === null) return [];
    if (to !== null && to <= from) return [];
    return [{ seq, kind: draining ? ('draining' as const) : ('maintenance' as const), from, to }];
  });
}

/** What is left of `spans` without `holes`. Both may overlap. */
export function without(spans: readonly Span[], holes: readonly Span[]): Span[] {
  return holes.reduce<Span[]>(
    (left, hole) =>
      left.flatMap(({ from, to }) =>
        [
          { from, to: Math.min(to, hole.from) },
          { from: Math.max(from, hole.to), to },
        ].filter((span) => span.from < span.to),
      ),
    union(spans),
  );
}

/** The same times without overlaps, in order. */
function union(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    if (span.from >= span.to) continue;
    const last = result.at(-1);
    if (last !== undefined && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else result.push({ ...span });
  }
  return result;
}

export const lengthOf = (spans: readonly Span[]): number =>
  union(spans).reduce((sum, { from, to }) => sum + to - from, 0);

/** How it was within a time. */
export interface Judged {
  knownMs: number;
  outageMs: number;
  maintenanceMs: number;
  /** Null where there is nothing to judge by. */
  uptime: number | null;
}

/** Judges `known`, the time that anything is known of. */
export function judgeUptime(known: Span, outages: readonly Span[], announced: readonly Span[]): Judged {
  const counted = without([known], announced);
  const up = without(counted, outages);
  const knownMs = lengthOf(counted);
  const outageMs = knownMs - lengthOf(up);
  return {
    knownMs,
    outageMs,
    maintenanceMs: Math.max(0, known.to - known.from) - knownMs,
    uptime: knownMs === 0 ? null : (knownMs - outageMs) / knownMs,
  };
}
