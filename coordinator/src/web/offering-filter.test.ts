import { describe, expect, it } from 'vitest';
import { isNarrowed, nextPageQuery, NO_FILTER, parseFilter, readFields } from './offering-filter.ts';

describe('the filter of the offerings', () => {
  it('lets everything through when nothing was chosen, as an empty form sends it', () => {
    const fields = readFields({ q: '', country: '', min_cpu: '', min_memory_mb: '', max_price: '' });
    expect(parseFilter(fields)).toEqual({ filter: NO_FILTER, problems: {} });
    expect(isNarrowed(fields)).toBe(false);
  });

  it('reads every field', () => {
    const fields = readFields({
      q: ' fast ',
      country: 'de',
      min_cpu: '4',
      min_memory_mb: '8192',
      max_price: '0.05',
      in_stock: 'true',
      cursor: 'abc',
    });
    expect(parseFilter(fields).filter).toEqual({
      text: 'fast',
      country: 'DE',
      cpuMin: 4,
      memoryMbMin: 8192,
      priceMaxE9s: 50_000_000n,
      inStockOnly: true,
      provider: null,
      cursor: 'abc',
    });
  });

  it('leaves out what it cannot read, and says so at the field', () => {
    const { filter, problems } = parseFilter(
      readFields({ min_cpu: 'many', max_price: '-1', country: 'Mars' }),
    );
    expect(filter).toEqual(NO_FILTER);
    expect(Object.keys(problems).sort()).toEqual(['country', 'max_price', 'min_cpu']);
  });

  it('ignores fields that it does not know, and takes the first of repeated ones', () => {
    const fields = readFields({ utm_source: 'x', q: ['a', 'b'], min_cpu: { $gt: 1 } });
    expect(fields).toMatchObject({ q: 'a', min_cpu: '' });
  });

  it('keeps the filter on the next page', () => {
    const fields = readFields({ q: 'a&b=c', in_stock: 'true', cursor: 'old' });
    expect(nextPageQuery(fields, 'new')).toBe('?q=a%26b%3Dc&in_stock=true&cursor=new');
  });
});
