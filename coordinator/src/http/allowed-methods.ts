/** Which methods an address takes, for the `Allow` of a 405. */
import type { Route } from './route.ts';

/** The methods of all routes that match `path`, sorted; empty where there is nothing. */
export function findAllowedMethods(routes: readonly Route[], path: string): string[] {
  const methods = new Set<string>();
  for (const route of routes) if (matches(route.url, path)) methods.add(route.method);
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods].sort();
}

/** Compares segment by segment: `:name` takes any one segment, a trailing `*` the rest. */
function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.at(-1) === '*') return wanted.slice(0, -1).every((segment, index) => segment === given[index]);
  return (
    wanted.length === given.length &&
    wanted.every((segment, index) =>
      segment.startsWith(':') ? given[index] !== '' : segment === given[index],
    )
  );
}
