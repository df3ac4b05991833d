import { describe, expect, it } from 'vitest';
import { painter, renderDuration, renderTable } from './render-table.ts';

describe('text for people', () => {
  it('is aligned, without blanks at the end', () => {
    const rows = [
      ['NAME', 'N', 'WHAT'],
      ['a', '100', ''],
    ];
    expect(renderTable(rows, ' ')).toEqual([' NAME  N    WHAT', ' a     100']);
    expect(renderTable([])).toEqual([]);
  });

  it('is coloured only where a person looks', () => {
    expect(painter(true)('red', 'no')).toBe('\u001b[31mno\u001b[0m');
    expect(painter(false)('red', 'no')).toBe('no');
  });

  it.each([
    [-5, '0 s'],
    [119_000, '119 s'],
    [120_000, '2 min'],
    [7_200_000, '2 h'],
    [172_800_000, '2 d'],
  ])('%i ms are %s', (ms, text) => {
    expect(renderDuration(ms)).toBe(text);
  });
});
