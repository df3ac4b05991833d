/**
 * Checks values against the vendor's dialect of JSON schema: `optional` instead of `required`, booleans that are 0 and
 * 1, `net[n]` for net0, net1 and so on, `requires`, lists in one text, and property strings. Pure.
 */
import { FORMATS } from './formats.ts';
import { parsePropertyString } from './property-string.ts';

/** A schema of the dialect; what the checks do not read is left out. */
export interface Schema {
  readonly type?: string;
  readonly optional?: 0 | 1;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: 0 | 1 | Schema;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly format?: string | Readonly<Record<string, Schema>>;
  readonly requires?: string;
  readonly alias?: string;
  readonly keyAlias?: string;
  readonly default_key?: 0 | 1;
  readonly oneOf?: readonly Schema[];
  readonly 'type-property'?: string;
}

/** How to check. */
export interface CheckOptions {
  /** A property that the schema does not know is wrong, also where it does not say so. */
  readonly isStrict?: boolean;
}

/** What is wrong, each with where. */
export function checkValue(schema: Schema, value: unknown, at: string, options: CheckOptions = {}): string[] {
  if (schema.oneOf !== undefined) {
    const tries = schema.oneOf.map((each) => checkValue(each, value, at, options));
    return tries.find((problems) => problems.length === 0) ?? tries[0] ?? [];
  }
  switch (schema.type ?? 'string') {
    case 'null':
      return value === null || value === undefined ? [] : [`${at}: is not null`];
    case 'object':
      return checkObject(schema, value, at, options);
    case 'array':
      return checkArray(schema, value, at, options);
    case 'boolean':
      return /^(0|1|on|off|yes|no|true|false)$/.test(String(value))
        ? []
        : [`${at}: is no boolean: ${show(value)}`];
    case 'integer':
    case 'number':
      return checkNumber(schema, value, at);
    case 'string':
      return checkString(schema, value, at);
    default:
      return []; // `any`
  }
}

function checkObject(schema: Schema, value: unknown, at: string, options: CheckOptions): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return [`${at}: is no object: ${show(value)}`];
  const { properties } = schema;
  if (properties === undefined) return [];
  const problems: string[] = [];
  const given = value as Readonly<Record<string, unknown>>;
  for (const [key, each] of Object.entries(given)) {
    const property = propertyOf(properties, key);
    if (property === undefined) {
      const isRefused =
        schema.additionalProperties === 0 ||
        (options.isStrict === true && schema.additionalProperties === undefined);
      if (isRefused) problems.push(`${at}.${key}: is not known`);
      continue;
    }
    problems.push(...checkValue(property, each, `${at}.${key}`, options));
    if (property.requires !== undefined && !(property.requires in given))
      problems.push(`${at}.${key}: needs ${property.requires}`);
  }
  for (const [key, property] of Object.entries(properties)) {
    if (property.optional !== 1 && !key.endsWith('[n]') && !(key in given))
      problems.push(`${at}.${key}: is missing`);
  }
  return problems;
}

/** The schema of a property; `net3` is described by `net[n]`. */
export function propertyOf(properties: Readonly<Record<string, Schema>>, key: string): Schema | undefined {
  return properties[key] ?? properties[key.replace(/\d+$/, '[n]')];
}

function checkArray(schema: Schema, value: unknown, at: string, options: CheckOptions): string[] {
  // A request may give one element as it is.
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  if (!Array.isArray(value) && options.isStrict === true) return [`${at}: is no list: ${show(value)}`];
  const { items } = schema;
  if (items === undefined) return [];
  return list.flatMap((each, index) => checkValue(items, each, `${at}[${index}]`, options));
}

function checkNumber(schema: Schema, value: unknown, at: string): string[] {
  const text = String(value);
  const fits =
    schema.type === 'integer' ? /^[+-]?\d+$/.test(text) : /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text);
  if (!fits) return [`${at}: is no ${schema.type ?? ''}: ${show(value)}`];
  const number = Number(text);
  if (schema.minimum !== undefined && number < schema.minimum)
    return [`${at}: is less than ${schema.minimum}`];
  if (schema.maximum !== undefined && number > schema.maximum)
    return [`${at}: is more than ${schema.maximum}`];
  return [];
}

function checkString(schema: Schema, value: unknown, at: string): string[] {
  if (typeof value === 'object' || value === undefined) return [`${at}: is no text: ${show(value)}`];
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (schema.enum !== undefined && !schema.enum.map(String).includes(text))
    return [`${at}: is none of ${schema.enum.join(', ')}: ${text}`];
  if (schema.maxLength !== undefined && text.length > schema.maxLength)
    return [`${at}: is longer than ${schema.maxLength}`];
  if (schema.minLength !== undefined && text.length < schema.minLength)
    return [`${at}: is shorter than ${schema.minLength}`];
  if (schema.pattern !== undefined && !patternOf(schema.pattern).test(text))
    return [`${at}: does not fit ${schema.pattern}: ${text}`];
  if (schema.format === undefined) return [];
  if (typeof schema.format !== 'string') return checkPropertyString(schema.format, text, at);
  return checkFormat(schema.format, text) ? [] : [`${at}: is no ${schema.format}: ${text}`];
}

/** A format that has no check here lets everything pass. A list is one text, parted by comma, semicolon or blank. */
function checkFormat(format: string, text: string): boolean {
  const check = FORMATS[format];
  if (check !== undefined) return check(text);
  if (!format.endsWith('-list')) return true;
  const item = FORMATS[format.slice(0, -'-list'.length)];
  return item === undefined || text.split(/[,;\s\0]+/).every((each) => each === '' || item(each));
}

function checkPropertyString(
  properties: Readonly<Record<string, Schema>>,
  text: string,
  at: string,
): string[] {
  const { values, problems } = parsePropertyString(properties, text);
  if (problems.length > 0) return problems.map((problem) => `${at}: ${problem}`);
  const described = Object.fromEntries(
    Object.entries(properties).filter(([, { alias }]) => alias === undefined),
  );
  return checkValue({ type: 'object', properties: described, additionalProperties: 0 }, values, at);
}

/** Anchored, as Perl's checks of these are; `(?^i:…)` is Perl's way to write flags of a part. */
function patternOf(pattern: string): RegExp {
  const isCaseless = pattern.includes('(?^i:');
  return new RegExp(`^(?:${pattern.replace(/\(\?\^i?:/g, '(?:')})$`, isCaseless ? 'i' : '');
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 80);
}
