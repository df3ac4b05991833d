/**
 * Which file may import which. Each rule takes all files and returns one line for each violation.
 */
import { isTestFile, type Import, type SourceFile } from './source-file.ts';

/** The workspace that a path belongs to, and what it may import. Folders that are not named here see everything. */
const WORKSPACES: Readonly<Record<string, readonly string[]>> = {
  shared: ['shared'],
  agent: ['agent', 'shared'],
  coordinator: ['coordinator', 'shared'],
};

/** Folders that every slice of a program builds on; they know no slice. */
const FOUNDATIONS = ['lib', 'database', 'journal'];

/** What `shared` and the browser's code may use of Node: calculation, no input or output. */
const PURE_BUILTINS = ['crypto', 'util', 'buffer'];

/** Packages that reach outside the process, or hold its state. */
const EFFECT_PACKAGES = ['better-sqlite3', 'execa', 'fastify', 'kysely', 'pino', 'ssh2', 'undici'];

/** Files that decide and never act. STYLE: "decide purely, act from a table". */
const PURE_FILE = /^(agent|coordinator|shared)\/.*(-rules|\/(fold|plan|parse)-[^/]+)\.ts$/;

/** What an outer ring is made of: only the wiring, the entry and tests put these into a program. */
const LEAF_FILE = /-(routes|job|loop)\.ts$|\.(job|command)\.ts$/;

/** The files that put a program together. */
const ASSEMBLY_FILE = /^(agent|coordinator)\/src\/(main|cli|wiring|[a-z-]*wiring|wire-[a-z-]+)\.ts$/;

interface Place {
  readonly workspace: string;
  /** The folder under src/; empty for a file that lies directly in it. */
  readonly slice: string;
}

function placeOf(path: string): Place {
  const [workspace = '', src, slice = '', ...rest] = path.split('/');
  return { workspace, slice: src === 'src' && rest.length > 0 ? slice : '' };
}

/** Every import of one file of ours by another, with both ends. Tests are left out unless they are asked for. */
function* fileImports(
  files: readonly SourceFile[],
  { withTests = false, withTypes = false } = {},
): Generator<{ from: SourceFile; to: string }> {
  for (const from of files) {
    if (!withTests && isTestFile(from.path)) continue;
    for (const { target, isTypeOnly } of from.imports) {
      if (target.kind === 'file' && (withTypes || !isTypeOnly)) yield { from, to: target.path };
    }
  }
}

/** `shared` imports nothing of ours; agent and coordinator never meet, not even in a type or a test. */
export function workspaceViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { from, to } of fileImports(files, { withTests: true, withTypes: true })) {
    const allowed = WORKSPACES[placeOf(from.path).workspace];
    if (allowed && !allowed.includes(placeOf(to).workspace)) {
      found.push(`${from.path}: may not import ${to}; only e2e/ sees both programs`);
    }
  }
  return found;
}

/** `shared` calculates: no input, no output, and nothing that knows only one of the two sides. */
export function sharedEffectViolations(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => path.startsWith('shared/') && !isTestFile(path))
    .flatMap((file) =>
      file.imports
        .filter(isEffect)
        .map((effect) => `${file.path}: shared does no I/O, but imports ${nameOf(effect)}`),
    );
}

/** The browser's code uses the browser: nothing of Node, and of ours only itself and `shared`. */
export function browserViolations(files: readonly SourceFile[]): string[] {
  const folder = 'coordinator/src/web/browser/';
  return files
    .filter(({ path }) => path.startsWith(folder) && !isTestFile(path))
    .flatMap((file) =>
      file.imports
        .filter(({ isTypeOnly }) => !isTypeOnly)
        .filter(
          ({ target }) =>
            target.kind === 'builtin' ||
            (target.kind === 'file' && !/^(shared\/|coordinator\/src\/web\/)/.test(target.path)),
        )
        .map((it) => `${file.path}: runs in the browser, where there is no ${nameOf(it)}`),
    );
}

/** `lib`, `database` and `journal` carry the slices, and know none. */
export function foundationViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { from, to } of fileImports(files)) {
    const [here, there] = [placeOf(from.path), placeOf(to)];
    if (here.workspace !== there.workspace || !FOUNDATIONS.includes(here.slice)) continue;
    const isLibOnly = here.slice === 'lib';
    const allowed = isLibOnly ? ['lib'] : FOUNDATIONS;
    if (!allowed.includes(there.slice)) found.push(`${from.path}: ${here.slice}/ may not import ${to}`);
  }
  return found;
}

/** Routes, jobs, loops and commands are where a program begins: nothing but the wiring imports them. */
export function leafViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { from, to } of fileImports(files)) {
    if (!LEAF_FILE.test(to) || ASSEMBLY_FILE.test(from.path) || /^(e2e|scripts|installer)\//.test(from.path))
      continue;
    const [here, there] = [placeOf(from.path), placeOf(to)];
    if (here.slice !== there.slice) found.push(`${from.path}: ${to} is for its own slice and the wiring`);
  }
  return found;
}

/** Only the entry and commands know the wiring; tests and e2e may build a program of their own with it. */
export function wiringViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { from, to } of fileImports(files)) {
    const isEntry = ASSEMBLY_FILE.test(from.path) || /\.command\.ts$/.test(from.path);
    if (/^(e2e|scripts|installer)\//.test(from.path)) continue;
    if (/\/wiring\.ts$/.test(to) && !isEntry) found.push(`${from.path}: only main and commands import ${to}`);
    if (/\/src\/main\.ts$/.test(to))
      found.push(`${from.path}: nothing imports ${to}, which runs the program`);
  }
  return found;
}

/** A driver is known to the registry, the wiring and its own set-up; everything else knows its port. */
export function driverViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { from, to } of fileImports(files)) {
    const folder = /^agent\/src\/provisioners\/(?!testing\/)[^/]+\//.exec(to)?.[0];
    if (folder === undefined || !from.path.startsWith('agent/') || from.path.startsWith(folder)) continue;
    if (from.path === 'agent/src/provisioners/registry.ts' || ASSEMBLY_FILE.test(from.path)) continue;
    if (from.path.startsWith(folder.replace('/provisioners/', '/setup/'))) continue;
    found.push(`${from.path}: may not import the driver file ${to}; take a Provisioner`);
  }
  return found;
}

/** What is there for tests does not get into a program. */
export function testCodeViolations(files: readonly SourceFile[]): string[] {
  const found: string[] = [];
  for (const { from, to } of fileImports(files)) {
    if (/^(e2e|scripts|installer)\//.test(from.path)) continue;
    if (isTestFile(to)) found.push(`${from.path}: ${to} is for tests`);
  }
  return found;
}

/** Files that decide reach no input or output, by whatever way. */
export function purityViolations(files: readonly SourceFile[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const found: string[] = [];
  for (const file of files) {
    if (!PURE_FILE.test(file.path) || isTestFile(file.path)) continue;
    const way = wayToEffect(file, byPath, new Set());
    if (way !== null) found.push(`${file.path}: decides, so it may not reach ${way.join(' → ')}`);
  }
  return found;
}

function wayToEffect(
  file: SourceFile,
  byPath: ReadonlyMap<string, SourceFile>,
  seen: Set<string>,
): string[] | null {
  if (seen.has(file.path)) return null;
  seen.add(file.path);
  for (const found of file.imports) {
    if (isEffect(found)) return [nameOf(found)];
    const next =
      found.target.kind === 'file' && !found.isTypeOnly ? byPath.get(found.target.path) : undefined;
    const way = next ? wayToEffect(next, byPath, seen) : null;
    if (next && way) return [next.path, ...way];
  }
  return null;
}

/** Files that import each other in a circle, by values: such files are one file in several pieces. */
export function cycleViolations(files: readonly SourceFile[]): string[] {
  const targets = new Map<string, string[]>(files.map(({ path }) => [path, []]));
  for (const { from, to } of fileImports(files, { withTests: true })) targets.get(from.path)?.push(to);
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    const start = way.indexOf(path);
    if (start >= 0) found.push(`import cycle: ${[...way.slice(start), path].join(' → ')}`);
    if (start >= 0 || done.has(path)) return;
    for (const next of targets.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of targets.keys()) visit(path, []);
  return found;
}

function isEffect({ target, isTypeOnly }: Import): boolean {
  if (isTypeOnly) return false;
  if (target.kind === 'builtin') return !PURE_BUILTINS.includes(target.name);
  return target.kind === 'package' && EFFECT_PACKAGES.includes(target.name);
}

function nameOf({ target }: Import): string {
  return target.kind === 'file'
    ? target.path
    : target.kind === 'builtin'
      ? `node:${target.name}`
      : target.name;
}
