/**
 * Checks path, query and body of a request against the route's schemas, and names every bad field at once. Only
 * path and query are converted, because everything in a URL is text; a body must have the right types itself.
 */
import type { TSchema } from 'typebox';
import type { Validator } from 'typebox/schema';
import { Settings } from 'typebox/system';
import { AppError, type FieldProblem } from '@dc/shared/errors';
import { PLAIN_LINES_PATTERN, PLAIN_TEXT_PATTERN } from '@dc/shared/wire/schema-parts';
import { validatorOf } from '@dc/shared/wire/validator-of';
import type { Route } from './route.ts';

/** More than a person mends at once; a batch of 500 bad records need not be listed whole. */
const PROBLEMS_MAX = 50;
/** TypeBox stops at 8 otherwise. One bad field can be several of its errors. */
const RAW_ERRORS_MAX = 200;

/** The parts of a request as they came in. */
export interface RawInput {
  params: unknown;
  query: unknown;
  body: unknown;
}

interface ObjectShape {
  type?: string;
  required?: readonly string[];
  properties?: Record<string, { type?: string; default?: unknown }>;
}

/** Whether a body may be left out, which then means `{}`: nothing in it has to be there. */
export function mayLeaveOut(schema: TSchema): boolean {
  const { type, required = [] } = schema as ObjectShape;
  return type === 'object' && required.length === 0;
}

/** Checks the requests of one route. Compiles the schemas when the first request comes, not at the start. */
export class InputValidator {
  readonly #params: PartValidator;
  readonly #query: PartValidator;
  readonly #body: PartValidator;

  constructor(route: Route) {
    const { params, query, body } = route.schema;
    // Whoever follows a link to a page may have had something added to its query (utm_source=…).
    const ignoresQuery = query === undefined && route.kind === 'stream' && route.produces === 'text/html';
    this.#params = new PartValidator('/path', params, 'convert');
    this.#query = new PartValidator('/query', query, ignoresQuery ? 'ignore' : 'convert');
    this.#body = new PartValidator('', body, 'keep');
  }

  /** Returns the input with URL texts converted and defaults filled in. Throws REQUEST_INVALID. */
  check(input: RawInput): RawInput {
    const problems: FieldProblem[] = [];
    const params = this.#params.check(input.params, problems);
    const query = this.#query.check(input.query, problems);
    const body = this.#body.check(input.body, problems);
    if (problems.length > 0) {
      const names = problems.slice(0, 5).map(({ pointer }) => (pointer === '' ? 'the body' : pointer));
      const more = problems.length > names.length ? ', …' : '';
      throw new AppError('REQUEST_INVALID', `Not valid: ${names.join(', ')}${more}.`, {
        fields: problems.slice(0, PROBLEMS_MAX),
      });
    }
    return { params, query, body };
  }
}

class PartValidator {
  readonly #prefix: string;
  readonly #schema: TSchema | undefined;
  readonly #mode: 'keep' | 'convert' | 'ignore';

  constructor(prefix: string, schema: TSchema | undefined, mode: 'keep' | 'convert' | 'ignore') {
    this.#prefix = prefix;
    this.#schema = schema;
    this.#mode = mode;
  }

  check(value: unknown, problems: FieldProblem[]): unknown {
    if (this.#schema === undefined) {
      if (this.#mode !== 'ignore') problems.push(...this.#unexpected(value));
      return undefined;
    }
    const shaped = this.#shape(value);
    const validator = validatorOf(this.#schema);
    if (!validator.Check(shaped)) problems.push(...findProblems(validator, shaped, this.#prefix));
    return shaped;
  }

  /** What a route without this part says of one that is there. */
  #unexpected(value: unknown): FieldProblem[] {
    if (this.#mode === 'keep') return value === undefined ? [] : [{ pointer: '', detail: 'takes no body' }];
    const names = typeof value === 'object' && value !== null ? Object.keys(value) : [];
    return names.map((name) => ({ pointer: `${this.#prefix}/${escapePointer(name)}`, detail: UNKNOWN }));
  }

  #shape(given: unknown): unknown {
    const isLeftOut = given === undefined && this.#mode === 'keep' && mayLeaveOut(this.#schema as TSchema);
    const value = isLeftOut ? {} : given;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    const { properties = {} } = this.#schema as ObjectShape;
    const isText = this.#mode === 'convert';
    const shaped = (isText ? { ...value } : value) as Record<string, unknown>;
    for (const name in properties) {
      const property = properties[name];
      if (Object.hasOwn(shaped, name)) {
        if (isText) shaped[name] = fromText(shaped[name], property?.type);
      } else if (property?.default !== undefined) shaped[name] = property.default;
    }
    return shaped;
  }
}

const UNKNOWN = 'is not known here';
const PLAIN_PATTERNS = new Set([PLAIN_TEXT_PATTERN, PLAIN_LINES_PATTERN]);

/** What a URL's text means where the schema wants a number or a boolean; anything else stays, and is refused. */
function fromText(text: unknown, type: string | undefined): unknown {
  if (typeof text !== 'string') return text;
  if (type === 'integer' && /^-?(0|[1-9][0-9]{0,15})$/.test(text)) return Number(text);
  if (type === 'number' && /^-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?$/.test(text)) return Number(text);
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

/** Every bad field once, with a JSON pointer into its part. */
export function findProblems(validator: Validator, value: unknown, prefix: string): FieldProblem[] {
  Settings.Set({ maxErrors: RAW_ERRORS_MAX });
  const [, errors] = validator.Errors(value);
  const found = new Map<string, string>();
  const add = (pointer: string, detail: string): void => {
    if (!found.has(prefix + pointer)) found.set(prefix + pointer, detail);
  };
  // What went wrong inside the alternatives of a union says less than that none of them fits.
  for (const error of errors) {
    if (error.keyword === 'anyOf') add(error.instancePath, 'has none of the forms that are allowed here');
  }
  for (const error of errors) {
    const at = error.instancePath;
    if (error.keyword === 'required')
      for (const name of error.params.requiredProperties) add(`${at}/${escapePointer(name)}`, 'is missing');
    else if (error.keyword === 'additionalProperties')
      for (const name of error.params.additionalProperties) add(`${at}/${escapePointer(name)}`, UNKNOWN);
    else if (error.keyword === 'enum') add(at, `must be one of ${error.params.allowedValues.join(', ')}`);
    else if (error.keyword === 'type' && prefix === '/query' && Array.isArray(valueAt(value, at)))
      add(at, 'is there more than once');
    else if (error.keyword === 'type' && error.params.type === 'null')
      add(at, 'nothing can be chosen here yet: leave it out, or send null');
    else if (error.keyword === 'pattern' && PLAIN_PATTERNS.has(String(error.params.pattern)))
      add(at, 'must not have control characters in it');
    else if (error.keyword !== 'boolean') add(at, error.message);
  }
  return [...found].map(([pointer, detail]) => ({ pointer, detail }));
}

function valueAt(value: unknown, pointer: string): unknown {
  return (value as Record<string, unknown>)[pointer.slice(1)];
}

const escapePointer = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');
