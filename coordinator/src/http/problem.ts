/** Turns errors into RFC 9457 problem documents, from the one table of codes. */
import type { FastifyError } from 'fastify';
import { AppError, ERRORS, statusOf, type ErrorCode } from '@dc/shared/errors';
import type { WireProblem } from '@dc/shared/wire/schema-parts';

/** An error answer: everything but how it is sent. */
export interface ProblemAnswer {
  status: number;
  headers: Record<string, string>;
  body: WireProblem;
}

export const PROBLEM_TYPE = 'application/problem+json';

/** How long to wait where the error does not say. */
const RETRY_AFTER_S_DEFAULT = 1;

/** The answer for `error`: its code, texts, fields and extra members; never its cause. */
export function problemOf(error: AppError, traceId: string): ProblemAnswer {
  const status = statusOf(error.code);
  const headers: Record<string, string> = { 'content-type': PROBLEM_TYPE };
  if (error.isRetryable) {
    const afterS = Math.ceil((error.retryAfterMs ?? 0) / 1000);
    headers['retry-after'] = String(Math.max(RETRY_AFTER_S_DEFAULT, afterS));
  }
  return {
    status,
    headers,
    body: {
      type: problemTypeOf(error.code),
      title: ERRORS[error.code].title,
      status,
      detail: error.message,
      code: error.code,
      remedy: error.remedy,
      trace_id: traceId,
      ...(error.fields.length === 0 ? {} : { errors: [...error.fields] }),
      ...error.extra,
    },
  };
}

/** The `type` of a problem: where this coordinator explains the code. */
export function problemTypeOf(code: ErrorCode): string {
  return `/docs/errors#${code}`;
}

/** What anything thrown means to the caller: AppErrors as they are, Fastify's by their code, the rest a bug. */
export function toAppError(error: unknown, bodyLimitBytes: number): AppError {
  if (error instanceof AppError) return error;
  const code = error instanceof Error ? (error as Partial<FastifyError>).code : undefined;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new AppError('REQUEST_TOO_LARGE', `The body may have ${String(bodyLimitBytes)} bytes.`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return new AppError('REQUEST_TYPE_UNSUPPORTED');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new AppError('REQUEST_MALFORMED', 'The body does not have the length that Content-Length says.');
    case 'FST_ERR_BAD_URL':
      return new AppError('REQUEST_INVALID', 'The path is not a valid URL path.');
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new AppError('REQUEST_INVALID', 'A part of the path is too long.');
    default:
      return new AppError('INTERNAL_BUG', undefined, { cause: error });
  }
}
