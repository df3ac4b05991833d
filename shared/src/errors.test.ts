import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  AppError,
  ERRORS,
  isAppError,
  STATUS_OF_KIND,
  statusOf,
  type ErrorCode,
  type ErrorKind,
} from './errors.ts';

const codes = Object.keys(ERRORS) as ErrorCode[];

describe.each(codes)('%s', (code) => {
  const row: { kind: ErrorKind; title: string; remedy: string; status?: number } = ERRORS[code];

  it('is named AREA_WHAT', () => expect(code).toMatch(/^[A-Z]+(_[A-Z]+)+$/));

  it('has a kind, and a status of the same family', () => {
    expect(Object.keys(STATUS_OF_KIND)).toContain(row.kind);
    expect(Math.floor(statusOf(code) / 100)).toBe(Math.floor(STATUS_OF_KIND[row.kind] / 100));
  });

  it('says what happened and what to do, in whole sentences', () => {
    for (const text of [row.title, row.remedy]) {
      expect(text).toMatch(/^[A-Z].{7,}\.$/);
      expect(text).not.toMatch(/\n| {2}|\.\.$/);
    }
    expect(row.title.length).toBeLessThanOrEqual(80);
  });
});

describe('statusOf', () => {
  it.each<[ErrorCode, number]>([
    ['REQUEST_INVALID', 400],
    ['SIGNATURE_SKEW', 401],
    ['PERMISSION_DENIED', 403],
    ['CONTRACT_NOT_FOUND', 404],
    ['METHOD_NOT_ALLOWED', 405],
    ['IDEMPOTENCY_MISMATCH', 409],
    ['OFFERING_SOLD_OUT', 409],
    ['INSTANCE_GONE', 410],
    ['REQUEST_TOO_LARGE', 413],
    ['REQUEST_TYPE_UNSUPPORTED', 415],
    ['REQUEST_RATE_LIMITED', 429],
    ['INTERNAL_BUG', 500],
    ['SERVICE_UNAVAILABLE', 503],
  ])('answers %s with %i', (code, status) => expect(statusOf(code)).toBe(status));
});

describe('AppError', () => {
  it('speaks with the words of the table unless it has better ones', () => {
    const plain = new AppError('OFFERING_SOLD_OUT');
    expect([plain.message, plain.remedy]).toEqual([
      ERRORS.OFFERING_SOLD_OUT.title,
      ERRORS.OFFERING_SOLD_OUT.remedy,
    ]);
    const better = new AppError('OFFERING_SOLD_OUT', 'None of “tiny” is left.', { remedy: 'Take “small”.' });
    expect([better.message, better.remedy]).toEqual(['None of “tiny” is left.', 'Take “small”.']);
  });

  it('carries what the answer needs, and the cause for the log', () => {
    const cause = new Error('disk full');
    const error = new AppError('SERVICE_UNAVAILABLE', undefined, {
      cause,
      retryAfterMs: 5000,
      fields: [{ pointer: '/a', detail: 'is wrong' }],
      extra: { server_time: 'now' },
    });
    expect(error).toMatchObject({
      cause,
      retryAfterMs: 5000,
      kind: 'unavailable',
      extra: { server_time: 'now' },
    });
    expect(error.fields).toEqual([{ pointer: '/a', detail: 'is wrong' }]);
    expect(inspect(error)).toContain('disk full');
  });

  it('has no cause where none was given', () => {
    expect('cause' in new AppError('INTERNAL_BUG')).toBe(false);
  });

  it('is worth trying again by its kind alone', () => {
    for (const code of codes) {
      expect(new AppError(code).isRetryable).toBe(
        ['unavailable', 'rate_limited'].includes(ERRORS[code].kind),
      );
    }
  });

  it('is told from other errors, and by its code', () => {
    const error: unknown = new AppError('LEASE_STALE');
    expect([isAppError(error), isAppError(error, 'LEASE_STALE'), isAppError(error, 'RECORD_GAP')]).toEqual([
      true,
      true,
      false,
    ]);
    for (const other of [new Error('LEASE_STALE'), { code: 'LEASE_STALE' }, null, undefined]) {
      expect(isAppError(other)).toBe(false);
    }
  });
});
