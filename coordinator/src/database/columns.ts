/** How values lie in columns: the codecs that every store uses, so that both engines give the same answers. */
import { makeMoney } from '@dc/shared/money/money';
import type { Money } from '@dc/shared/money/money';

/** A money value from an `…_e9s` column and the currency beside it. Throws MONEY_RANGE or REQUEST_INVALID on rubbish. */
export function moneyFromColumns(amountE9s: bigint, currency: string): Money {
  return makeMoney(amountE9s, currency);
}

/** JSON as text. Throws a TypeError on what JSON cannot say (a bigint, undefined): nothing is dropped silently. */
export function jsonToColumn(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError('a JSON column cannot hold undefined or a function');
  return text;
}

/** The value of a JSON column. Only this program wrote it, so that the caller may say what type it is. */
export function jsonFromColumn(text: string): unknown {
  return JSON.parse(text);
}
