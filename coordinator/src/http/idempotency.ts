/**
 * Idempotency-Key: the first successful answer to a request is kept for a day and given again, word for word, to the
 * same request of the same caller. It is kept in the transaction of its effect, so that there is never one without
 * the other. An error is not kept: its transaction was rolled back and nothing happened, so that the same key may
 * try again, and succeed once the cause is mended.
 */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { AppError } from '@dc/shared/errors';
import type { Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';

/** PROTOCOL.md: kept 24 h. */
const KEEP_MS = 24 * 60 * 60 * 1000;

/** An answer as it is sent. */
export interface SentAnswer {
  status: number;
  /** The body's JSON; empty for none. */
  text: string;
}

/** Which answer is meant. */
export interface IdempotencyScope {
  /** Who is calling: keys of different callers never meet. */
  actor: string;
  key: string;
  requestHash: string;
}

/**
 * The Idempotency-Key of a request, or null. Throws REQUEST_INVALID for a value that is not 1 to 255 printable
 * characters.
 */
export function readIdempotencyKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  if (typeof header === 'string' && /^[\x20-\x7e]{1,255}$/.test(header)) return header;
  throw new AppError('REQUEST_INVALID', 'The Idempotency-Key is not valid.', {
    fields: [
      { pointer: '/headers/idempotency-key', detail: 'must be 1 to 255 printable ASCII characters, once' },
    ],
  });
}

/** What makes two requests the same: method, path and query, and the bytes of the body. */
export function hashRequest(method: string, target: string, body: Uint8Array): string {
  return createHash('sha256').update(`${method} ${target}\n`).update(body).digest('hex');
}

/** The first answer, or null where this is the first request. Throws IDEMPOTENCY_MISMATCH. */
export async function findFirstAnswer(trx: Transaction, scope: IdempotencyScope): Promise<SentAnswer | null> {
  const { rows } = await statement<{ request_hash: string; status: number; body: string }>`
    select request_hash, status, body from idempotency
    where actor = ${scope.actor} and key = ${scope.key}`.execute(trx);
  const [row] = rows;
  if (row === undefined) return null;
  if (row.request_hash !== scope.requestHash) throw new AppError('IDEMPOTENCY_MISMATCH');
  return { status: row.status, text: row.body };
}

/** Keeps the first answer, in the transaction of its effect. */
export async function keepAnswer(
  trx: Transaction,
  scope: IdempotencyScope,
  answer: SentAnswer,
  now: number,
): Promise<void> {
  await trx
    .insertInto('idempotency')
    .values({
      actor: scope.actor,
      key: scope.key,
      request_hash: scope.requestHash,
      status: answer.status,
      body: answer.text,
      created_at: now,
    })
    .execute();
}

/** Forgets up to `limit` answers older than a day, and resolves with how many. For the housekeeping job. */
export async function pruneAnswers(trx: Transaction, now: number, limit: number): Promise<number> {
  const result = await sql`
    delete from idempotency where (actor, key) in (
      select actor, key from idempotency where created_at < ${now - KEEP_MS} limit ${limit})`.execute(trx);
  return Number(result.numAffectedRows ?? 0);
}
