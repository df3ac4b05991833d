import { Compile } from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { plainLines, plainText, toPlainText } from './schema-parts.ts';

const isText = (text: string): boolean => Compile(plainText({ maxLength: 100 })).Check(text);
const isLines = (text: string): boolean => Compile(plainLines({ maxLength: 100 })).Check(text);

describe('a text that people see', () => {
  it.each(['', 'Größe', '日本語', 'שלום', '🖥️ 2 × 4 GB', 'a\u200fb'])('may be %j', (text) => {
    expect([isText(text), isLines(text)]).toEqual([true, true]);
  });

  it.each(['\u0000', '\t', '\r', '\u001b', '\u007f', '\u0085', '\u009b', '\u2028', '\u202e', '\u2066'])(
    'has no %j in it',
    (control) => {
      expect([isText(`a${control}b`), isLines(`a${control}b`)]).toEqual([false, false]);
      expect(toPlainText(`a${control}b`, 100)).toBe('a b');
    },
  );

  it('has a line feed only where it may have several lines', () => {
    expect([isText('a\nb'), isLines('a\nb')]).toEqual([false, true]);
  });

  it('is made of another one by shortening it', () => {
    expect(toPlainText(`${'x'.repeat(99)}\u001b[2J`, 100)).toBe(`${'x'.repeat(99)} `);
  });
});
