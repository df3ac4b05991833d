import { Type } from 'typebox';
import { isAppError } from '@dc/shared/errors';
import { HeartbeatAnswer, Leases, Registration } from '@dc/shared/wire/agent';
import { closed, nullable } from '@dc/shared/wire/schema-parts';
import { describe, expect, it } from 'vitest';
import { parseAnswer, parseRetryAfter, refusalError } from './parse-answer.ts';

const KEY = 'a'.repeat(64);
const ANSWER = {
  server_time: '2026-11-20T12:00:00.000Z',
  next_interval_ms: 1,
  open_work: 0,
  records_held: 3,
};

describe('answers', () => {
  it('may say more than we understand, at every depth', () => {
    expect(parseAnswer(HeartbeatAnswer, { ...ANSWER, mood: 'good' })).toEqual(ANSWER);
    const Nested = closed({
      list: Type.Array(closed({ a: Type.Integer() })),
      maybe: nullable(closed({ b: Type.Integer() })),
    });
    expect(parseAnswer(Nested, { list: [{ a: 1, x: 2 }], maybe: { b: 3, y: 4 }, z: 5 })).toEqual({
      list: [{ a: 1 }],
      maybe: { b: 3 },
    });
    expect(parseAnswer(Nested, { list: [], maybe: null })).toEqual({ list: [], maybe: null });
  });

  it.each([
    ['a missing member', HeartbeatAnswer, { ...ANSWER, open_work: undefined }],
    ['another type', HeartbeatAnswer, { ...ANSWER, open_work: '0' }],
    ['no object', HeartbeatAnswer, null],
    ['another shape', Leases, { leases: [{ order_id: 'x' }] }],
    ['a key that is none', Registration, { agent: KEY.slice(1) }],
  ])('with %s are refused', (_what, schema, answer) => {
    try {
      parseAnswer(schema, answer);
    } catch (error) {
      expect(isAppError(error, 'RESPONSE_INVALID')).toBe(true);
      return;
    }
    throw new Error('it was taken');
  });
});

describe('refusals', () => {
  const refused = (status: number, body: unknown) => refusalError({ status, body, retryAfterMs: undefined });

  it('keep the code, the detail, the remedy and what helps to go on', () => {
    const error = refused(409, {
      code: 'RECORD_GAP',
      detail: 'Record 7 came.',
      remedy: 'Send 5.',
      expected_seq: 5,
      trace_id: 'abc',
      status: 409,
    });
    expect(error).toMatchObject({
      code: 'RECORD_GAP',
      message: 'Record 7 came.',
      remedy: 'Send 5.',
      extra: { expected_seq: 5, trace_id: 'abc' },
    });
  });

  it.each([
    [401, 'AUTH_REQUIRED'],
    [403, 'PERMISSION_DENIED'],
    [404, 'ROUTE_NOT_FOUND'],
    [413, 'REQUEST_TOO_LARGE'],
    [418, 'RESPONSE_INVALID'],
    [429, 'REQUEST_RATE_LIMITED'],
    [502, 'SERVICE_UNAVAILABLE'],
  ])('without a code of ours, HTTP %i means %s', (status, code) => {
    expect(refused(status, undefined).code).toBe(code);
    expect(refused(status, { code: 'FROM_THE_FUTURE' }).code).toBe(code);
    expect(refused(status, { code: 'constructor' }).code).toBe(code);
  });

  it('cannot write on the operator’s terminal', () => {
    const error = refused(400, { code: 'REQUEST_INVALID', detail: `\u001b[2J${'x'.repeat(9_999)}` });
    expect(error.message).toMatch(/^ \[2Jx+$/);
    expect(error.message.length).toBeLessThanOrEqual(500);
  });

  it('say how long to wait in seconds or as a date', () => {
    const now = Date.parse('2026-11-20T12:00:00Z');
    expect(parseRetryAfter('7', now)).toBe(7_000);
    expect(parseRetryAfter('Fri, 20 Nov 2026 12:00:30 GMT', now)).toBe(30_000);
    expect(parseRetryAfter('Fri, 20 Nov 2026 11:00:00 GMT', now)).toBe(0);
    expect(parseRetryAfter('soon', now)).toBeUndefined();
    expect(parseRetryAfter(undefined, now)).toBeUndefined();
  });
});
