/** Finds the route of a path. */
import { parametersOf } from './parameters.ts';
import type { Route } from './route.ts';

/** A route, with what its path says in the places of its names. */
export interface FoundRoute {
  readonly route: Route;
  readonly values: Readonly<Record<string, string>>;
}

export class RouteTable {
  readonly #routes: readonly {
    readonly route: Route;
    readonly pattern: RegExp;
    readonly names: readonly string[];
  }[];

  /** Those of `routes` that a version has. */
  constructor(routes: readonly Route[], major: number) {
    this.#routes = routes
      .filter(({ since = 7 }) => since <= major)
      .map((each) => {
        const route = { ...each, parameters: parametersOf(each.parameters, major) };
        const names = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '');
        return { route, names, pattern: new RegExp(`^${route.path.replace(/\{\w+\}/g, '([^/]+)')}$`) };
      });
  }

  all(): Route[] {
    return this.#routes.map(({ route }) => route);
  }

  find(method: string, path: string): FoundRoute | undefined {
    for (const { route, pattern, names } of this.#routes) {
      const match = route.method === method ? pattern.exec(path) : null;
      if (match === null) continue;
      const values = Object.fromEntries(names.map((name, index) => [name, decode(match[index + 1] ?? '')]));
      return { route, values };
    }
    return undefined;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // Not encoded: taken as it is.
  }
}
