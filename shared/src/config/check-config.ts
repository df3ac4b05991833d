/**
 * Checks a parsed configuration file against its schema and names every problem at once, each with what was found,
 * what is expected and an example to paste. Both programs load their TOML through it. Pure: reads no file.
 *
 * A schema is a closed TypeBox object whose members are settings, tables (closed objects), arrays of tables, or
 * records of tables. A setting's `description`, `examples` and `default` are what the problems and the generated
 * documentation show; `writeOnly: true` keeps a setting's value out of both.
 */
import type { Static, TObject, TSchema } from 'typebox';
import { Check } from 'typebox/schema';
import { AppError } from '../errors.ts';
import { closestWord } from './closest-word.ts';

/** One thing that is wrong with a configuration file. Everything in it may be shown. */
export interface ConfigProblem {
  file: string;
  /** Dotted, as one would write it in TOML: `listen.port`, `pools[0].name`. Empty for the whole file. */
  key: string;
  /** What is there, as TOML, shortened; null where nothing is. */
  found: string | null;
  /** What may stand there, in words. */
  expected: string;
  /** A line that would be right, ready to paste; null where the setting does not exist. */
  example: string | null;
}

/** What `checkConfig` found. `value` has the defaults filled in, and is null exactly when there are problems. */
export type CheckedConfig<S extends TSchema> =
  { value: Static<S>; problems: [] } | { value: null; problems: [ConfigProblem, ...ConfigProblem[]] };

/** The parts of JSON Schema that configuration schemas use. */
interface Shape {
  type?: string;
  properties?: Record<string, Shape>;
  required?: string[];
  patternProperties?: Record<string, Shape>;
  items?: Shape;
  anyOf?: Shape[];
  enum?: unknown[];
  const?: unknown;
  description?: string;
  default?: unknown;
  examples?: unknown[];
  writeOnly?: boolean;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
}

type Table = Record<string, unknown>;

/** Checks `parsed` (what the TOML parser returned for `file`) and fills in defaults. Leaves `parsed` as it is. */
export function checkConfig<S extends TObject>(
  schema: S,
  parsed: unknown,
  source: { file: string },
): CheckedConfig<S> {
  const problems: ConfigProblem[] = [];
  const walk = new Walk(source.file, problems);
  const value = walk.value(schema, parsed, '');
  const [first, ...others] = problems;
  if (first !== undefined) return { value: null, problems: [first, ...others] };
  return { value: value as Static<S>, problems: [] };
}

/** The text that a person reads: all problems of one file. */
export function renderProblems(problems: readonly ConfigProblem[]): string {
  const files = [...new Set(problems.map((problem) => problem.file))];
  return files
    .map((file) => {
      const own = problems.filter((problem) => problem.file === file);
      const title = `${file} has ${own.length === 1 ? 'a problem' : `${String(own.length)} problems`}:`;
      return [title, ...own.map(renderProblem)].join('\n\n');
    })
    .join('\n\n');
}

/** CONFIG_INVALID with all problems in its message, and each again in `fields`. */
export function configError(problems: readonly ConfigProblem[]): AppError {
  return new AppError('CONFIG_INVALID', renderProblems(problems), {
    fields: problems.map(({ key, expected }) => ({
      pointer: toPointer(key),
      detail: `expected ${expected}`,
    })),
  });
}

/** A line of TOML that sets `key` to `value`, with its table's header where it is in one. */
export function exampleLine(key: string, value: unknown): string {
  const dot = key.lastIndexOf('.');
  if (dot < 0) return `${key} = ${toToml(value)}`;
  const table = key.slice(0, dot);
  const header = table.includes('[') ? `[[${table.replaceAll(/\[\d+\]/g, '')}]]` : `[${table}]`;
  return `${header}\n${key.slice(dot + 1)} = ${toToml(value)}`;
}

class Walk {
  readonly #file: string;
  readonly #problems: ConfigProblem[];

  constructor(file: string, problems: ConfigProblem[]) {
    this.#file = file;
    this.#problems = problems;
  }

  /** The checked value at `key`; what it returns means nothing once there is a problem. */
  value(shape: Shape, found: unknown, key: string): unknown {
    if (isTableShape(shape) && isTable(found)) return this.#table(shape, found, key);
    if (
      shape.type === 'array' &&
      shape.items !== undefined &&
      isTableShape(shape.items) &&
      isListOfTables(found)
    ) {
      const { items } = shape;
      if (Check({ ...shape, items: {} } as TSchema, found))
        return found.map((item, index) => this.value(items, item, `${key}[${String(index)}]`));
    } else if (Check(shape as TSchema, found)) return found;
    this.#add(shape, key, shape.writeOnly === true ? '(hidden)' : shorten(toToml(found)));
    return found;
  }

  #table(shape: Shape, found: Table, key: string): Table {
    const value: Table = {};
    const known = shape.properties ?? {};
    for (const name of Object.keys(known)) {
      const member = known[name] as Shape;
      const memberKey = join(key, name);
      if (Object.hasOwn(found, name)) value[name] = this.value(member, found[name], memberKey);
      else if (member.default !== undefined) value[name] = structuredClone(member.default);
      else if (shape.required?.includes(name)) {
        // An absent table is an empty one: its members have defaults, or are named one by one as missing.
        if (isTableShape(member)) value[name] = this.#table(member, {}, memberKey);
        else this.#add(member, memberKey, null);
      }
    }
    for (const name of Object.keys(found)) {
      if (Object.hasOwn(known, name)) continue;
      const entry = shapeOfEntry(shape, name);
      if (entry === undefined) this.#addUnknown(shape, join(key, name), name);
      else value[name] = this.value(entry, found[name], join(key, name));
    }
    return value;
  }

  #add(shape: Shape, key: string, found: string | null): void {
    const example = exampleOf(shape);
    this.#problems.push({
      file: this.#file,
      key,
      found,
      expected: describe(shape),
      example: example === undefined || isTableShape(shape) ? null : exampleLine(key, example),
    });
  }

  #addUnknown(shape: Shape, key: string, name: string): void {
    const known = Object.keys(shape.properties ?? {});
    const meant = closestWord(name, known);
    const prefix = key.slice(0, key.length - quoteKey(name).length);
    const others = known.length === 0 ? '' : `; there is ${known.map((other) => prefix + other).join(', ')}`;
    const expected = `no such setting${meant === null ? others : `; did you mean ${prefix}${meant}?`}`;
    this.#problems.push({ file: this.#file, key, found: quoteKey(name), expected, example: null });
  }
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

const isListOfTables = (value: unknown): value is Table[] => Array.isArray(value) && value.every(isTable);

const isTableShape = (shape: Shape): boolean => shape.type === 'object';

/** The shape of the entry `name` of a record; undefined where the table takes no such name. */
function shapeOfEntry(shape: Shape, name: string): Shape | undefined {
  const entries = Object.entries(shape.patternProperties ?? {});
  return entries.find(([pattern]) => new RegExp(pattern, 'u').test(name))?.[1];
}

/** What a setting may be, in words: "an integer from 1 to 65535: the port to listen on". */
function describe(shape: Shape): string {
  const kind = describeKind(shape);
  return shape.description === undefined ? kind : `${kind} (${shape.description})`;
}

function describeKind(shape: Shape): string {
  const choices = choicesOf(shape);
  if (choices !== null) return `one of ${choices.map(toToml).join(', ')}`;
  switch (shape.type) {
    case 'integer':
    case 'number': {
      const name = shape.type === 'integer' ? 'an integer' : 'a number';
      return name + range(shape.minimum, shape.maximum, '');
    }
    case 'string':
      return `a text${range(shape.minLength, shape.maxLength, ' characters')}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return `a list${range(shape.minItems, shape.maxItems, ' entries')}`;
    case 'object':
      return 'a table';
    default:
      return shape.anyOf?.map(describeKind).join(', or ') ?? 'another value';
  }
}

function range(least: number | undefined, most: number | undefined, unit: string): string {
  if (least !== undefined && most !== undefined) return ` from ${String(least)} to ${String(most)}${unit}`;
  if (least === 1 && unit !== '') return ' that is not empty';
  if (least !== undefined) return ` of at least ${String(least)}${unit}`;
  return most === undefined ? '' : ` of at most ${String(most)}${unit}`;
}

function choicesOf(shape: Shape): unknown[] | null {
  if (shape.const !== undefined) return [shape.const];
  if (shape.enum !== undefined) return shape.enum;
  const choices = shape.anyOf?.map((option) => option.const);
  return choices === undefined || choices.includes(undefined) ? null : choices;
}

function exampleOf(shape: Shape): unknown {
  return shape.examples?.[0] ?? shape.default ?? choicesOf(shape)?.[0] ?? EXAMPLES[shape.type ?? ''];
}

/** For settings that name no example of their own. */
const EXAMPLES: Readonly<Record<string, unknown>> = { integer: 1, number: 1, boolean: true, string: '…' };

function renderProblem({ key, found, expected, example }: ConfigProblem): string {
  const lines = [
    `  ${key === '' ? '(the file)' : key}`,
    `    found     ${found ?? 'nothing'}`,
    `    expected  ${expected}`,
  ];
  if (example !== null) lines.push(`    example   ${example.replaceAll('\n', '\n              ')}`);
  return lines.join('\n');
}

function toToml(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return `[${value.map(toToml).join(', ')}]`;
  if (isTable(value)) {
    const members = Object.entries(value).map(([name, member]) => `${quoteKey(name)} = ${toToml(member)}`);
    return members.length === 0 ? '{}' : `{ ${members.join(', ')} }`;
  }
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

const quoteKey = (name: string): string => (/^[A-Za-z0-9_-]+$/.test(name) ? name : JSON.stringify(name));
const join = (key: string, name: string): string =>
  key === '' ? quoteKey(name) : `${key}.${quoteKey(name)}`;
const shorten = (text: string): string => (text.length <= 80 ? text : `${text.slice(0, 79)}…`);

function toPointer(key: string): string {
  return key === '' ? '' : `/${key.replaceAll(/\[(\d+)\]/g, '.$1').replaceAll('.', '/')}`;
}
