/** State machines as data: one table from state and event to the next state, and one pure `next()`. */

/** `table[state][event]` is the next state; an absent entry means that the event is not allowed there. */
export type TransitionTable<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, State>>>>
>;

/** The state after `event`, or null where the table does not allow it. */
export function nextState<State extends string, Event extends string>(
  table: TransitionTable<State, Event>,
  state: State,
  event: Event,
): State | null {
  return Object.hasOwn(table[state], event) ? (table[state][event] ?? null) : null;
}

/** The events that the table allows in `state`, in the order of the table. */
export function allowedEvents<State extends string, Event extends string>(
  table: TransitionTable<State, Event>,
  state: State,
): Event[] {
  return Object.keys(table[state]) as Event[];
}
