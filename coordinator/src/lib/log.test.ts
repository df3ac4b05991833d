import { describe, expect, it } from 'vitest';
import { createLog } from './log.ts';

function collect(level: 'debug' | 'info'): { lines: string[]; log: ReturnType<typeof createLog> } {
  const lines: string[] = [];
  return { lines, log: createLog(level, { write: (line) => void lines.push(line) }) };
}

describe('the log', () => {
  it('blacks out what would let somebody act for a caller', () => {
    const { lines, log } = collect('info');
    log.info({
      headers: {
        authorization: 'abc',
        cookie: 'abc',
        signature: 'abc',
        'signature-input': 'abc',
        host: 'here',
      },
      request: { headers: { 'set-cookie': 'abc', cookie: 'abc' } },
      token: 'abc',
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('abc');
    expect(lines[0]).toContain('"host":"here"');
    expect(lines[0]).toContain('[secret]');
  });

  it('writes JSON lines from its level on', () => {
    const { lines, log } = collect('info');
    log.debug('not this');
    log.info({ a: 1 }, 'this');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { level: 30, a: 1, msg: 'this' },
    ]);
  });

  it('shows the whole of an error, and of its cause', () => {
    const { lines, log } = collect('info');
    log.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'failed');
    expect(lines[0]).toContain('outer');
    expect(lines[0]).toContain('inner');
  });
});
