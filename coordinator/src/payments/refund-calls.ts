/**
 * The audit of refunds: each call of a payment provider is a row before it is made, and what came of it afterwards. A
 * row without an outcome is a call whose answer never reached us; the next one has the same key.
 */
import { isAppError, type AppError } from '@dc/shared/errors';
import { newUuid } from '@dc/shared/ids';
import type { Context } from '../context.ts';
import type { Reader } from '../database/database.ts';
import type { RefundCallsTable } from '../database/tables-refunds.ts';
import type { PaymentProvider, RefundAnswer, RefundRequest } from './payment-provider.ts';

/** Longer tells nobody more. */
const DETAIL_LENGTH_MAX = 500;

/** Asks the provider for the refund, with a row of it before and after. Throws what the provider throws. */
export async function refundAudited(
  context: Context,
  provider: PaymentProvider,
  { refundKey, request }: { refundKey: string; request: RefundRequest },
  signal: AbortSignal,
): Promise<RefundAnswer | null> {
  const id = newUuid(context.clock, context.random);
  await context.db.write((trx) =>
    trx
      .insertInto('refund_calls')
      .values({
        ...{ id, refund_key: refundKey, call_key: request.key, method: provider.method },
        ...{ amount_e9s: request.amount.amountE9s, currency: request.amount.currency },
        ...{
          asked_at: context.clock.now(),
          answered_at: null,
          outcome: null,
          external_id: null,
          detail: null,
        },
      })
      .execute(),
  );
  let answer: RefundAnswer | null;
  try {
    answer = (await provider.refund(request, signal)) ?? null;
  } catch (error) {
    // Anything else is a bug: what became of the call is not known, and so not written down.
    if (isAppError(error))
      await note(context, id, { outcome: 'error', external_id: null, detail: describe(error) });
    throw error;
  }
  await note(context, id, {
    outcome: answer?.status ?? 'succeeded',
    external_id: answer?.id ?? null,
    detail: null,
  });
  return answer;
}

async function note(
  { db, clock }: Context,
  id: string,
  answer: Pick<RefundCallsTable, 'outcome' | 'external_id' | 'detail'>,
): Promise<void> {
  await db.write((trx) =>
    trx
      .updateTable('refund_calls')
      .set({ ...answer, answered_at: clock.now() })
      .where('id', '=', id)
      .execute(),
  );
}

/** What went wrong, in our words only: a vendor's body, or a secret in it, is kept nowhere. */
const describe = ({ code, message }: AppError): string => `${code}: ${message}`.slice(0, DETAIL_LENGTH_MAX);

/** The calls for a contract's refunds, or for all of them: newest first. */
export async function listRefundCalls(
  reader: Reader,
  {
    contractId,
    cursor,
    limit,
  }: { contractId?: string | undefined; cursor?: string | undefined; limit: number },
): Promise<(RefundCallsTable & { contract_id: string })[]> {
  let query = reader
    .selectFrom('refund_calls as a')
    .innerJoin('refunds as r', 'r.key', 'a.refund_key')
    .selectAll('a')
    .select('r.contract_id')
    .orderBy('a.id', 'desc')
    .limit(limit);
  if (contractId !== undefined) query = query.where('r.contract_id', '=', contractId);
  if (cursor !== undefined) query = query.where('a.id', '<', cursor);
  return query.execute();
}
