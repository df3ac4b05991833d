import { describe, expect, it } from 'vitest';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import { jsonFromColumn, jsonToColumn, moneyFromColumns } from './columns.ts';

describe('columns', () => {
  it('hold money beside its currency', () => {
    expect(moneyFromColumns(5n, 'USD')).toEqual({ amountE9s: 5n, currency: 'USD' });
    expect(() => moneyFromColumns(5n, '')).toThrow();
  });

  it('hold times that travel as RFC 3339 with milliseconds', () => {
    expect(toTimestamp(1_763_633_000_005)).toBe('2025-11-20T10:03:20.005Z');
  });

  it('hold JSON, and refuse what JSON would drop', () => {
    expect(jsonFromColumn(jsonToColumn({ a: [1, null, 'x'] }))).toEqual({ a: [1, null, 'x'] });
    expect(() => jsonToColumn(undefined)).toThrow(TypeError);
    expect(() => jsonToColumn({ amount: 1n })).toThrow(TypeError);
  });
});
