/**
 * Source files as the architecture rules see them: path, text, syntax tree, and where each import leads. The rules
 * are pure functions over lists of these, so that a test can feed them a file that breaks them.
 */
import { isBuiltin } from 'node:module';
import path from 'node:path';
import ts from 'typescript';

/** Where an import leads: a file of this repository (its path from the root), a package, or a module of Node. */
export type ImportTarget =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'package'; readonly name: string }
  | { readonly kind: 'builtin'; readonly name: string };

/** One import, re-export or dynamic import. */
export interface Import {
  readonly target: ImportTarget;
  /** Types leave no trace at run time. */
  readonly isTypeOnly: boolean;
}

/** One TypeScript or JavaScript file. */
export interface SourceFile {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly syntax: ts.SourceFile;
  readonly imports: readonly Import[];
}

/** Reads one file's text. It needs no disk, and no other file. */
export function parseSourceFile(filePath: string, text: string): SourceFile {
  const syntax = ts.createSourceFile(filePath, text, ts.ScriptTarget.Latest, true);
  const imports: Import[] = [];
  const visit = (node: ts.Node): void => {
    const found = specifierOf(node);
    if (found !== null) {
      imports.push({ target: resolveImport(filePath, found.specifier), isTypeOnly: found.isTypeOnly });
    }
    ts.forEachChild(node, visit);
  };
  visit(syntax);
  return { path: filePath, text, syntax, imports };
}

function specifierOf(node: ts.Node): { specifier: string; isTypeOnly: boolean } | null {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, isTypeOnly: isTypeOnlyImport(node) };
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) {
    return { specifier: node.moduleSpecifier.text, isTypeOnly: node.isTypeOnly };
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    if (argument && ts.isStringLiteral(argument)) return { specifier: argument.text, isTypeOnly: false };
  }
  return null;
}

function isTypeOnlyImport({ importClause }: ts.ImportDeclaration): boolean {
  if (!importClause) return false;
  if (importClause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true;
  const { name, namedBindings } = importClause;
  if (name || !namedBindings || !ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.length > 0 && namedBindings.elements.every((element) => element.isTypeOnly);
}

function resolveImport(from: string, specifier: string): ImportTarget {
  if (specifier.startsWith('.'))
    return { kind: 'file', path: path.posix.join(path.posix.dirname(from), specifier) };
  if (isBuiltin(specifier)) return { kind: 'builtin', name: specifier.replace(/^node:/, '') };
  const [scope = '', name = '', ...rest] = specifier.split('/');
  if (scope === '@dc') {
    // `shared` exports its sources by name, without extension; the others are named file by file.
    const isShared = name === 'shared';
    return { kind: 'file', path: isShared ? `shared/src/${rest.join('/')}.ts` : `${name}/${rest.join('/')}` };
  }
  return { kind: 'package', name: scope.startsWith('@') ? `${scope}/${name}` : scope };
}

/** Whether a file is there for tests only. */
export function isTestFile(filePath: string): boolean {
  return filePath.endsWith('.test.ts') || filePath.includes('/testing/');
}
