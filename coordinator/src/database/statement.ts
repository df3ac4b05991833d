/**
 * SQL whose text is the same each time it runs, with values between: `` statement<Row>`select … where id = ${id}` ``. Its
 * text is put together once, where Kysely builds and compiles its tree for every run. For what is asked with each
 * request; everything else is better written with Kysely, which knows the tables.
 */
import { CompiledQuery, type QueryResult } from 'kysely';
import type { Reader } from './database.ts';
import { PLACEHOLDER } from './sqlite-dialect.ts';

type Value = string | number | bigint | boolean | Uint8Array | null;

const texts = new WeakMap<TemplateStringsArray, string>();

/** A statement with its values. `Row` is what the text selects, on the word of whoever wrote it. */
export function statement<Row = unknown>(
  parts: TemplateStringsArray,
  ...values: readonly Value[]
): { readonly execute: (on: Pick<Reader, 'getExecutor'>) => Promise<QueryResult<Row>> } {
  let text = texts.get(parts);
  if (text === undefined) {
    text = parts.join(PLACEHOLDER);
    texts.set(parts, text);
  }
  const query = CompiledQuery.raw(text, [...values]) as CompiledQuery<Row>;
  return { execute: (on) => on.getExecutor().executeQuery<Row>(query) };
}
