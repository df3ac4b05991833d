/** The filter form of the list of offerings: from the query of the address to a filter, and back. Pure. */
import { parseAmountE9s } from './price.ts';

/** What the list is narrowed to. `null`: not at all. */
export interface OfferingFilter {
  text: string | null;
  country: string | null;
  cpuMin: number | null;
  memoryMbMin: number | null;
  priceMaxE9s: bigint | null;
  inStockOnly: boolean;
  provider: string | null;
  cursor: string | null;
}

/** What the form's fields contain, as typed. */
// A type and not an interface, so that Object.entries knows that its values are texts.
export type FilterFields = {
  q: string;
  country: string;
  min_cpu: string;
  min_memory_mb: string;
  max_price: string;
  in_stock: string;
  cursor: string;
};

const TEXT_LENGTH_MAX = 100;
const CURSOR_LENGTH_MAX = 200;

/** A filter that lets everything through. */
export const NO_FILTER: OfferingFilter = {
  text: null,
  country: null,
  cpuMin: null,
  memoryMbMin: null,
  priceMaxE9s: null,
  inStockOnly: false,
  provider: null,
  cursor: null,
};

/** The fields from a parsed query: unknown ones are ignored, a repeated one counts once. */
export function readFields(query: unknown): FilterFields {
  const values = (typeof query === 'object' && query !== null ? query : {}) as Record<string, unknown>;
  const field = (name: string): string => {
    const value: unknown = Array.isArray(values[name]) ? values[name][0] : values[name];
    return typeof value === 'string' ? value.trim() : '';
  };
  return {
    q: field('q').slice(0, TEXT_LENGTH_MAX),
    country: field('country').toUpperCase(),
    min_cpu: field('min_cpu'),
    min_memory_mb: field('min_memory_mb'),
    max_price: field('max_price'),
    in_stock: field('in_stock'),
    cursor: field('cursor').slice(0, CURSOR_LENGTH_MAX),
  };
}

/** The filter that the fields mean, and the problem of each that cannot be read and is therefore left out. */
export function parseFilter(fields: FilterFields): {
  filter: OfferingFilter;
  problems: Partial<Record<keyof FilterFields, string>>;
} {
  const problems: Partial<Record<keyof FilterFields, string>> = {};
  const read = <T>(
    name: keyof FilterFields,
    parse: (text: string) => T | null,
    problem: string,
  ): T | null => {
    if (fields[name] === '') return null;
    const value = parse(fields[name]);
    if (value === null) problems[name] = problem;
    return value;
  };
  const filter: OfferingFilter = {
    ...NO_FILTER,
    text: fields.q === '' ? null : fields.q,
    country: read(
      'country',
      (text) => (/^[A-Z]{2}$/.test(text) ? text : null),
      'Choose a country of the list.',
    ),
    cpuMin: read('min_cpu', parseCount, 'Write a whole number.'),
    memoryMbMin: read('min_memory_mb', parseCount, 'Write a whole number.'),
    priceMaxE9s: read('max_price', parsePrice, 'Write a price, such as 0.05.'),
    inStockOnly: fields.in_stock === 'true',
    cursor: fields.cursor === '' ? null : fields.cursor,
  };
  return { filter, problems };
}

/** True where the fields narrow the list at all. */
export function isNarrowed(fields: FilterFields): boolean {
  return Object.entries(fields).some(([name, value]) => name !== 'cursor' && value !== '');
}

/** The query, with its question mark, of the page after `cursor` under the same filter. */
export function nextPageQuery(fields: FilterFields, cursor: string): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...fields, cursor })) {
    if (value !== '') parameters.set(name, value);
  }
  return `?${parameters.toString()}`;
}

function parseCount(text: string): number | null {
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : null;
}

function parsePrice(text: string): bigint | null {
  const amountE9s = parseAmountE9s(text);
  return amountE9s === null ? null : BigInt(amountE9s);
}
