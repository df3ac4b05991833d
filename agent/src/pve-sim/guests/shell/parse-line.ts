/**
 * Reads the part of the shell's language that the guests in this process know: words with quotes, `$variables` and
 * `$(commands)`, pipes, `&&`, `||`, `;`, redirections to and from files. Pure.
 */

/** A piece of a word: text as it is, a variable, or a command whose output it becomes. */
export type WordPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string; readonly quoted: boolean }
  | { readonly kind: 'command'; readonly script: string; readonly quoted: boolean };

export type Word = readonly WordPart[];

/** `>file`, `>>file`, `<file`, `2>file`, `2>&1`. */
export interface Redirection {
  readonly from: 0 | 1 | 2;
  readonly how: 'read' | 'write' | 'append' | 'duplicate';
  readonly target: Word;
}

/** One program with its words. */
export interface SimpleCommand {
  readonly words: readonly Word[];
  readonly redirections: readonly Redirection[];
}

/** Some commands connected by pipes, and when they run: always, or by how the ones before ended. */
export interface Pipeline {
  readonly when: 'always' | 'success' | 'failure';
  readonly negated: boolean;
  readonly commands: readonly SimpleCommand[];
}

/** A script that cannot be read. */
export class SyntaxProblem extends Error {}

type Token =
  { readonly kind: 'word'; readonly word: Word } | { readonly kind: 'operator'; readonly text: string };

const OPERATORS = ['2>&1', '2>>', '2>', '1>', '>>', '>', '<', '&&', '||', '|', ';', '\n', '&'];

/** Reads a script. Throws SyntaxProblem. */
export function parseScript(script: string): Pipeline[] {
  const tokens = tokenize(script);
  const pipelines: Pipeline[] = [];
  let when: Pipeline['when'] = 'always';
  let index = 0;
  while (index < tokens.length) {
    const token = tokens[index];
    if (token?.kind === 'operator' && [';', '\n', '&'].includes(token.text)) {
      index += 1;
      continue;
    }
    const read = readPipeline(tokens, index, when);
    pipelines.push(read.pipeline);
    index = read.next;
    const after = tokens[index];
    when =
      after?.kind !== 'operator'
        ? 'always'
        : after.text === '&&'
          ? 'success'
          : after.text === '||'
            ? 'failure'
            : 'always';
    index += 1;
    // A line may end after && and ||.
    while (when !== 'always' && isOperator(tokens[index], '\n')) index += 1;
  }
  return pipelines;
}

function readPipeline(
  tokens: readonly Token[],
  start: number,
  when: Pipeline['when'],
): { pipeline: Pipeline; next: number } {
  const commands: SimpleCommand[] = [];
  let index = start;
  let negated = false;
  const first = tokens[index];
  if (first?.kind === 'word' && literalOf(first.word) === '!') {
    negated = true;
    index += 1;
  }
  for (;;) {
    const words: Word[] = [];
    const redirections: Redirection[] = [];
    for (; index < tokens.length; index++) {
      const token = tokens[index];
      if (token?.kind === 'word') words.push(token.word);
      else if (token !== undefined && /[<>]/.test(token.text)) {
        const target = tokens[index + 1];
        if (token.text !== '2>&1') index += 1;
        redirections.push(redirection(token.text, token.text === '2>&1' ? undefined : target));
      } else break;
    }
    if (words.length === 0 && redirections.length === 0)
      throw new SyntaxProblem('syntax error near unexpected token');
    commands.push({ words, redirections });
    if (!isOperator(tokens[index], '|')) break;
    index += 1;
  }
  return { pipeline: { when, negated, commands }, next: index };
}

function redirection(operator: string, target: Token | undefined): Redirection {
  if (operator === '2>&1') return { from: 2, how: 'duplicate', target: [] };
  if (target?.kind !== 'word') throw new SyntaxProblem('syntax error near unexpected token');
  if (operator === '<') return { from: 0, how: 'read', target: target.word };
  return {
    from: operator.startsWith('2') ? 2 : 1,
    how: operator.endsWith('>>') ? 'append' : 'write',
    target: target.word,
  };
}

/** The text of a word without variables and commands; null for others. */
export function literalOf(word: Word): string | null {
  return word.every((part) => part.kind === 'text')
    ? word.map((part) => (part.kind === 'text' ? part.text : '')).join('')
    : null;
}

function isOperator(token: Token | undefined, text: string): boolean {
  return token?.kind === 'operator' && token.text === text;
}

function tokenize(script: string): Token[] {
  const tokens: Token[] = [];
  let index = 0;
  while (index < script.length) {
    const rest = script.slice(index);
    if (/^[ \t\r]/.test(rest)) index += 1;
    else if (rest.startsWith('\\\n')) index += 2;
    else if (rest.startsWith('#')) index += /^[^\n]*/.exec(rest)?.[0].length ?? 1;
    else {
      const operator = OPERATORS.find((each) => rest.startsWith(each));
      if (operator !== undefined) {
        tokens.push({ kind: 'operator', text: operator });
        index += operator.length;
      } else {
        const read = readWord(script, index);
        tokens.push({ kind: 'word', word: read.word });
        index = read.next;
      }
    }
  }
  return tokens;
}

function readWord(script: string, start: number): { word: Word; next: number } {
  const parts: WordPart[] = [];
  let index = start;
  let inDouble = false;
  while (index < script.length) {
    const character = script.charAt(index);
    if (!inDouble && /[\s;|&<>]/.test(character)) break;
    if (character === '"') {
      inDouble = !inDouble;
      parts.push({ kind: 'text', text: '' });
      index += 1;
    } else if (character === "'" && !inDouble) {
      const end = script.indexOf("'", index + 1);
      if (end < 0) throw new SyntaxProblem("unexpected EOF while looking for matching `''");
      parts.push({ kind: 'text', text: script.slice(index + 1, end) });
      index = end + 1;
    } else if (character === '\\') {
      const next = script.charAt(index + 1);
      const keeps = inDouble && !/["\\$`\n]/.test(next);
      parts.push({ kind: 'text', text: next === '\n' ? '' : keeps ? `\\${next}` : next });
      index += 2;
    } else if (character === '$') {
      const read = readDollar(script, index, inDouble);
      parts.push(read.part);
      index = read.next;
    } else {
      parts.push({ kind: 'text', text: character });
      index += 1;
    }
  }
  if (inDouble) throw new SyntaxProblem('unexpected EOF while looking for matching `"\'');
  return { word: parts, next: index };
}

function readDollar(script: string, index: number, quoted: boolean): { part: WordPart; next: number } {
  const rest = script.slice(index);
  if (rest.startsWith('$(')) {
    let depth = 0;
    for (let end = 1; end < rest.length; end++) {
      if (rest.charAt(end) === '(') depth += 1;
      if (rest.charAt(end) === ')' && --depth === 0) {
        return { part: { kind: 'command', script: rest.slice(2, end), quoted }, next: index + end + 1 };
      }
    }
    throw new SyntaxProblem("unexpected EOF while looking for matching `)'");
  }
  const match = /^\$(?:\{([A-Za-z_][A-Za-z0-9_]*|\?)\}|([A-Za-z_][A-Za-z0-9_]*|\?))/.exec(rest);
  if (match === null) return { part: { kind: 'text', text: '$' }, next: index + 1 };
  return {
    part: { kind: 'variable', name: match[1] ?? match[2] ?? '', quoted },
    next: index + match[0].length,
  };
}
