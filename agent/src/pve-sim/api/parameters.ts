/**
 * The parameters of a call: what each may be, and Proxmox VE's words where one is not that. Values come as text (a
 * path, a query, a form) or as JSON; handlers get texts, whole numbers, 1 and 0.
 */
import { PveError } from '../http/pve-error.ts';

/** What one parameter may be. */
export interface ParameterSpec {
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'array';
  readonly optional?: boolean;
  /** The first version that has it. */
  readonly since?: 8 | 9;
  /** What differs in version 7. */
  readonly before8?: Partial<ParameterSpec>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly enum?: readonly string[];
  readonly pattern?: RegExp;
  /** Said where `pattern` does not fit: what the value should look like. */
  readonly format?: string;
}

/** The parameters of a call by name; `net[n]` stands for net0, net1 and so on. */
export type ParameterTable = Readonly<Record<string, ParameterSpec>>;

/** What was given, as it came in. */
export type GivenParameters = Readonly<Record<string, unknown>>;

const MISSING = 'property is missing and it is not optional';
const UNKNOWN = 'property is not defined in schema and the schema does not allow additional properties';

/** The parameters that a version has. */
export function parametersOf(table: ParameterTable, major: number): ParameterTable {
  const present = Object.entries(table).filter(([, { since = 7 }]) => since <= major);
  return Object.fromEntries(
    present.map(([name, spec]) => [name, major < 8 ? { ...spec, ...spec.before8 } : spec]),
  );
}

/** Checked parameters. */
export class Parameters {
  readonly #values: ReadonlyMap<string, string | number | readonly string[]>;

  constructor(values: ReadonlyMap<string, string | number | readonly string[]>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The text of a parameter that must be there. */
  text(name: string): string {
    return String(this.#values.get(name) ?? '');
  }

  textOr(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined;
  }

  integer(name: string): number {
    return Number(this.#values.get(name));
  }

  integerOr<T>(name: string, otherwise: T): number | T {
    return this.has(name) ? this.integer(name) : otherwise;
  }

  flag(name: string, otherwise = false): boolean {
    return this.has(name) ? this.integer(name) === 1 : otherwise;
  }

  list(name: string): readonly string[] {
    const value = this.#values.get(name);
    return Array.isArray(value) ? (value as readonly string[]) : [this.text(name)];
  }

  /** Every parameter as text. */
  texts(): [string, string][] {
    return [...this.#values].map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join('\0') : String(value),
    ]);
  }
}

/** Checks what was given against a table. Throws the 400 that names every parameter that is wrong. */
export function checkParameters(table: ParameterTable, given: GivenParameters): Parameters {
  const errors: Record<string, string> = {};
  const values = new Map<string, string | number | readonly string[]>();
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null) continue;
    const spec = table[name] ?? table[name.replace(/\d+$/, '[n]')];
    if (spec === undefined) {
      errors[name] = UNKNOWN;
      continue;
    }
    const checked = checkValue(spec, value);
    if (typeof checked === 'object' && 'wrong' in checked) errors[name] = checked.wrong;
    else values.set(name, checked);
  }
  for (const [name, spec] of Object.entries(table)) {
    if (spec.optional !== true && !values.has(name) && errors[name] === undefined) errors[name] = MISSING;
  }
  if (Object.keys(errors).length > 0) throw PveError.parameters(errors);
  return new Parameters(values);
}

interface Wrong {
  readonly wrong: string;
}

function checkValue(spec: ParameterSpec, value: unknown): string | number | readonly string[] | Wrong {
  if (spec.type === 'array') return (Array.isArray(value) ? value : [value]).map(String);
  if (Array.isArray(value)) return { wrong: `type check ('${spec.type}') failed` };
  const text = typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
  if (spec.type === 'boolean') return checkBoolean(text);
  if (spec.type === 'integer' || spec.type === 'number') return checkNumber(spec, text);
  if (spec.enum !== undefined && !spec.enum.includes(text)) {
    return { wrong: `value '${text}' does not have a value in the enumeration '${spec.enum.join(', ')}'` };
  }
  if (spec.maxLength !== undefined && text.length > spec.maxLength) {
    return { wrong: `value may only be ${spec.maxLength} characters long` };
  }
  if (spec.pattern !== undefined && !spec.pattern.test(text)) {
    return {
      wrong:
        spec.format === undefined
          ? 'value does not match the regex pattern'
          : `invalid format - ${spec.format}`,
    };
  }
  return text;
}

function checkBoolean(text: string): number | Wrong {
  if (/^(1|on|yes|true)$/i.test(text)) return 1;
  if (/^(0|off|no|false)$/i.test(text)) return 0;
  return { wrong: `type check ('boolean') failed - got '${text}'` };
}

function checkNumber(spec: ParameterSpec, text: string): number | Wrong {
  const fits = spec.type === 'integer' ? /^[+-]?\d+$/.test(text) : /^[+-]?\d+(\.\d+)?$/.test(text);
  if (!fits) return { wrong: `type check ('${spec.type}') failed - got '${text}'` };
  const number = Number(text);
  if (spec.minimum !== undefined && number < spec.minimum)
    return { wrong: `value must have a minimum value of ${spec.minimum}` };
  if (spec.maximum !== undefined && number > spec.maximum)
    return { wrong: `value must have a maximum value of ${spec.maximum}` };
  return number;
}
