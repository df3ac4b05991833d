/**
 * Rules about single files: how long, how named, how begun, and what a module may do when it is imported.
 */
import path from 'node:path';
import ts from 'typescript';
import { isTestFile, type SourceFile } from './source-file.ts';

const SOURCE_LINES_MAX = 400;
const TEST_LINES_MAX = 600;

/** Files that may be longer, each with the reason why splitting it would be worse. Never more than three. */
export const LONGER_FILES: Readonly<Record<string, string>> = {
  'shared/src/errors.ts':
    'One table of every error code: a second place to look would be worse than a long page.',
};

/** Names that say nothing about what is inside. */
const EMPTY_NAMES = ['utils', 'util', 'helpers', 'helper', 'common', 'manager', 'misc'];

/** Classes whose making is a calculation: a constant may hold one. */
const PLAIN_CLASSES = [
  'Map',
  'Set',
  'WeakMap',
  'WeakSet',
  'RegExp',
  'URL',
  'TextEncoder',
  'TextDecoder',
  'Uint8Array',
];

/** Files that a reader can not hold in their head. */
export function lengthViolations(files: readonly SourceFile[], exceptions = LONGER_FILES): string[] {
  const found = files.flatMap((file) => {
    const lines = file.text.trimEnd().split('\n').length;
    const most = isTestFile(file.path) ? TEST_LINES_MAX : SOURCE_LINES_MAX;
    return lines > most && !(file.path in exceptions)
      ? [`${file.path}: ${lines} lines; the most is ${most}`]
      : [];
  });
  if (Object.keys(exceptions).length > 3)
    found.push('more than three files have an exception from the length limit');
  return found;
}

/** Every file starts by saying what it is for. A test's describe() says it. */
export function firstCommentViolations(files: readonly SourceFile[]): string[] {
  return files
    .filter(
      ({ path: name, text }) =>
        !name.endsWith('.test.ts') && !/^(#!.*\n)?(\/\/ @ts-check\n)?(\/\*\*|\/\/)/.test(text),
    )
    .map(({ path: name }) => `${name}: starts without a comment that says what it is for`);
}

/** A name is the first thing that a reader learns of a file. */
export function nameViolations(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path: filePath }) => {
    const words = path.posix.basename(filePath).split('.')[0]?.split('-') ?? [];
    const last = words.at(-1) ?? '';
    if (EMPTY_NAMES.includes(last)) return [`${filePath}: "${last}" says nothing; name what is inside`];
    return /^[a-z0-9./-]+$/.test(filePath) ? [] : [`${filePath}: names are lower case with hyphens`];
  });
}

/**
 * Importing a module of a program does nothing and keeps nothing: no calls for their effect, no variables, no
 * objects with a life of their own. Entries, tests and the browser's pages begin somewhere, and may.
 */
export function moduleWorkViolations(files: readonly SourceFile[]): string[] {
  return files
    .filter(
      ({ path: filePath }) => /^(agent|coordinator|shared)\/src\//.test(filePath) && !isTestFile(filePath),
    )
    .filter(({ path: filePath }) => !/\/src\/(pve-sim\/)?main\.ts$|\/web\/browser\//.test(filePath))
    .flatMap((file) =>
      file.syntax.statements.flatMap((statement) => {
        const problem = workOf(statement);
        const { line } = file.syntax.getLineAndCharacterOfPosition(statement.getStart());
        return problem === null ? [] : [`${file.path}:${line + 1}: ${problem}`];
      }),
    );
}

function workOf(statement: ts.Statement): string | null {
  if (ts.isExpressionStatement(statement))
    return 'does something when it is imported; do it in a function that returns the result';
  if (!ts.isVariableStatement(statement)) return null;
  const { flags, declarations } = statement.declarationList;
  if (!(flags & ts.NodeFlags.Const)) return 'keeps a variable for the whole process';
  for (const { initializer } of declarations) {
    if (!initializer || !ts.isNewExpression(initializer)) continue;
    const name = initializer.expression.getText();
    if (!PLAIN_CLASSES.includes(name) && !name.startsWith('Intl.'))
      return `makes a ${name} when it is imported; only wiring makes things`;
  }
  return null;
}

/** Every backend driver runs the suite that all drivers must pass. */
export function conformanceViolations(paths: readonly string[]): string[] {
  const folders = new Set<string>();
  for (const filePath of paths) {
    const folder = /^agent\/src\/provisioners\/(?!testing\/)[^/]+\//.exec(filePath)?.[0];
    if (folder !== undefined) folders.add(folder);
  }
  return [...folders]
    .filter((folder) => !paths.some((it) => it.startsWith(folder) && it.endsWith('.conformance.test.ts')))
    .map((folder) => `${folder}: has no *.conformance.test.ts`);
}
