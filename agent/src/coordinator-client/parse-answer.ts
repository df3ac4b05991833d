/**
 * Reads what the coordinator answered. The wire schemas are closed for requests; in answers we leave out members
 * that we do not know, so that a newer coordinator can say more than an older agent understands.
 */
import type { Static, TSchema } from 'typebox';
import { AppError, ERRORS, type ErrorCode } from '@dc/shared/errors';
import { validatorOf } from '@dc/shared/wire/validator-of';

/** The parts of JSON Schema that wire schemas use. */
interface Shape {
  properties?: Record<string, Shape>;
  additionalProperties?: unknown;
  items?: Shape;
  anyOf?: Shape[];
}

/** The answer as `schema` has it, without unknown members. Throws RESPONSE_INVALID where it does not fit. */
export function parseAnswer<S extends TSchema>(schema: S, answer: unknown): Static<S> {
  const known = withoutUnknown(schema, answer);
  if (!validatorOf(schema).Check(known)) {
    throw new AppError('RESPONSE_INVALID', 'The coordinator answered something that is not as agreed.');
  }
  return known as Static<S>;
}

function withoutUnknown(shape: Shape, value: unknown): unknown {
  if (Array.isArray(value)) {
    const { items } = shape;
    return items === undefined ? value : value.map((item) => withoutUnknown(items, item));
  }
  if (typeof value !== 'object' || value === null) return value;
  // Of a union only the member that is no null can be an object here.
  const { properties, additionalProperties } =
    shape.anyOf?.find((member) => member.properties !== undefined) ?? shape;
  if (properties === undefined) return value;
  const members = Object.entries(value).flatMap(([name, member]): [string, unknown][] => {
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined;
    if (known !== undefined) return [[name, withoutUnknown(known, member)]];
    return additionalProperties === false ? [] : [[name, member]];
  });
  return Object.fromEntries(members);
}

/** An answer that is no success. */
export interface Refusal {
  readonly status: number;
  /** The parsed body; undefined where it is no JSON. */
  readonly body: unknown;
  readonly retryAfterMs: number | undefined;
}

const TEXT_CHARS_MAX = 500;

/** The error that a refusal means: the code of its problem document, or what its status says. */
export function refusalError({ status, body, retryAfterMs }: Refusal): AppError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { code, detail, remedy } = problem;
  const isOurs = typeof code === 'string' && Object.hasOwn(ERRORS, code);
  const extra: Record<string, string | number> = {};
  for (const name of ['server_time', 'expected_seq', 'trace_id']) {
    const value = problem[name];
    if (typeof value === 'string') extra[name] = cleanText(value);
    if (typeof value === 'number') extra[name] = value;
  }
  const meant = isOurs ? (code as ErrorCode) : codeOfStatus(status);
  const fallback = isOurs ? undefined : `${ERRORS[meant].title} (HTTP ${String(status)})`;
  return new AppError(meant, typeof detail === 'string' ? cleanText(detail) : fallback, {
    extra,
    ...(typeof remedy === 'string' ? { remedy: cleanText(remedy) } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** For an answer without a code of ours: from a proxy in between, or a newer coordinator. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'AUTH_REQUIRED';
  if (status === 403) return 'PERMISSION_DENIED';
  if (status === 404) return 'ROUTE_NOT_FOUND';
  if (status === 413) return 'REQUEST_TOO_LARGE';
  if (status === 429) return 'REQUEST_RATE_LIMITED';
  return status >= 500 ? 'SERVICE_UNAVAILABLE' : 'RESPONSE_INVALID';
}

/** Text from outside that will stand in a log and on a terminal: short, and without control characters. */
function cleanText(text: string): string {
  return text.slice(0, TEXT_CHARS_MAX).replaceAll(/\p{Cc}+/gu, ' ');
}

/** Retry-After in milliseconds: seconds, or an HTTP date. Undefined where there is none that can be read. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\d+$/.test(header.trim()) ? Number(header) : NaN;
  const waitMs = Number.isNaN(seconds) ? Date.parse(header) - nowMs : seconds * 1000;
  return Number.isFinite(waitMs) ? Math.max(0, waitMs) : undefined;
}
