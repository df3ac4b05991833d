import { isAppError } from '@dc/shared/errors';
import { describe, expect, it } from 'vitest';
import type { StreamEvent } from './coordinator.ts';
import { SseParser } from './sse-parser.ts';

function parse(...pieces: string[]): StreamEvent[] {
  const events: StreamEvent[] = [];
  const parser = new SseParser((event) => events.push(event));
  for (const piece of pieces) parser.push(piece);
  return events;
}

describe('the event stream', () => {
  it('is taken apart into named events, and comments are left out', () => {
    expect(
      parse(': hi\n\nevent: hello\ndata: {}\n\n: beat\n\nevent: work\ndata: {"n":1}\nid: 7\n\n'),
    ).toEqual([
      { name: 'hello', data: '{}' },
      { name: 'work', data: '{"n":1}' },
    ]);
  });

  it('may come in pieces of any size, with any line ends', () => {
    const text = 'event: work\r\ndata: a\r\ndata: b\r\n\r\nevent:work\rdata:c\r\r';
    const expected = [
      { name: 'work', data: 'a\nb' },
      { name: 'work', data: 'c' },
    ];
    expect(parse(`${text}:`)).toEqual(expected);
    expect(parse(...text.split(/(?=.)/s), ':')).toEqual(expected);
  });

  it('takes an event whose meaning is in its name alone', () => {
    expect(parse('event: work\n\n')).toEqual([{ name: 'work', data: '' }]);
    expect(parse('data\n\n')).toEqual([{ name: 'message', data: '' }]);
  });

  it.each([
    ['a line', ['data: '.padEnd(70_000, 'x')]],
    ['an event', Array.from({ length: 70 }, () => `data: ${'x'.repeat(1_000)}\n`)],
  ])('refuses %s without end', (_what, pieces) => {
    const act = (): unknown => parse(...pieces);
    expect(act).toThrow();
    try {
      act();
    } catch (error) {
      expect(isAppError(error, 'RESPONSE_INVALID')).toBe(true);
    }
  });
});
