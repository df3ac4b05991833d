/** Watches the calls: counts them, and holds them against the vendor's description where there is one. */
import type { OfficialSchema } from '../official-schema/official-schema.ts';
import { PveError } from '../http/pve-error.ts';
import type { GivenParameters } from './parameters.ts';
import type { Route } from './route.ts';

/** A call that reached its route, and how it ended. */
export interface ObservedCall {
  readonly route: Route;
  readonly path: string;
  readonly given: GivenParameters;
  readonly status: number;
  readonly data: unknown;
}

export class CallObserver {
  /** How often each call was made: `GET /nodes/{node}/qemu` → 3. */
  readonly counts = new Map<string, number>();
  /** The calls that succeeded at least once. */
  readonly succeeded = new Set<string>();
  /** What contradicted the description. */
  readonly problems: string[] = [];
  readonly #schema: OfficialSchema | undefined;

  constructor(schema: OfficialSchema | undefined) {
    this.#schema = schema;
  }

  /** Notes a call. Throws the 500 that is answered instead of what contradicts the description. */
  observe({ route, given, status, data }: ObservedCall): void {
    const name = `${route.method} ${route.path}`;
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
    if (status !== 200) return;
    const problems = [
      ...(this.#schema?.requestProblems(route.method, route.path, given) ?? []),
      ...(this.#schema?.answerProblems(route.method, route.path, data) ?? []),
    ];
    if (problems.length === 0) {
      this.succeeded.add(name);
      return;
    }
    this.problems.push(...problems);
    throw PveError.failed(`simulator: this contradicts the official description: ${problems.join('; ')}`);
  }
}
