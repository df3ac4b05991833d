/**
 * What an agent's `availability` records say: whether it takes new work. They are evidence, so that anyone can see
 * afterwards that a time without service was announced before it came.
 */

/** What the record's `data` is. */
export interface Availability {
  /** It takes no new work until it says otherwise. */
  readonly draining: boolean;
  /** It takes no new work until then, RFC 3339; null where no maintenance goes on. */
  readonly maintenance_until: string | null;
}

/** Reads the `data` of such a record; null where it is not one. */
export function readAvailability(data: Record<string, unknown>): Availability | null {
  const { draining, maintenance_until: until } = data;
  if (typeof draining !== 'boolean') return null;
  if (until === null) return { draining, maintenance_until: null };
  if (typeof until !== 'string' || Number.isNaN(Date.parse(until))) return null;
  return { draining, maintenance_until: new Date(Date.parse(until)).toISOString() };
}
