/**
 * Rules about packages: each has a reason on one page, and each program has only so many.
 */

/** What the rules read of a package.json. */
export interface Manifest {
  readonly name: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** The most packages that a workspace may need at run time (STYLE, budgets). */
const DEPENDENCIES_MAX: Readonly<Record<string, number>> = {
  '@dc/agent': 12,
  '@dc/coordinator': 14,
  // One more than the budget: sealing is agreed here, byte for byte, and no protocol of it is ours to write.
  '@dc/shared': 3,
};

/**
 * Compares the manifests with `docs/decisions/dependencies.md`, whose tables have one row for each package with its
 * name in backticks in the first column: a package without a row, and a row without a package.
 */
export function undecidedDependencies(manifests: readonly Manifest[], decisions: string): string[] {
  const all = manifests.flatMap((manifest) =>
    Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }),
  );
  const used = new Set(all.filter((name) => !name.startsWith('@dc/')));
  const rows = [...decisions.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)];
  const decided = new Set(rows.map(([, name = '']) => name));
  return [
    ...[...used].filter((name) => !decided.has(name)).map((name) => `${name}: has no line in the decisions`),
    ...[...decided]
      .filter((name) => !used.has(name))
      .map((name) => `${name}: is not used any more; remove its line`),
    ...rows
      .filter(([, , rest = '']) => rest.split('|').some((cell) => cell.trim() === ''))
      .map(([, name = '']) => `${name}: has an empty cell in its line`),
  ];
}

/** What the rules read of package-lock.json. */
export interface LockFile {
  readonly packages: Readonly<
    Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>
  >;
}

/**
 * Packages for other platforms that a lock file names without holding them. `npm ci` refuses such a file, on every
 * platform; npm writes one when the registry did not have them all at that moment.
 */
export function lockFileGaps({ packages }: LockFile): string[] {
  const held = new Set(Object.keys(packages).map((key) => key.split('node_modules/').at(-1)));
  return Object.entries(packages).flatMap(([key, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !held.has(name))
      .map((name) => `package-lock.json: ${key} needs ${name}, which is not in the file`),
  );
}

/** Workspaces that need more packages than they may. */
export function tooManyDependencies(manifests: readonly Manifest[]): string[] {
  return manifests.flatMap(({ name, dependencies = {} }) => {
    const count = Object.keys(dependencies).length;
    const most = DEPENDENCIES_MAX[name] ?? 0;
    return count > most ? [`${name}: ${count} dependencies; the most is ${most}`] : [];
  });
}
