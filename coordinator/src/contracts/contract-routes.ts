/** The renter's and the provider's calls on contracts. */
import { Type } from 'typebox';
import { AppError } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { closed, listOf, ListQuery, Uuid } from '@dc/shared/wire/schema-parts';
import {
  CancelContract,
  Contract,
  ContractQuery,
  CreateContract,
  ExtendContract,
  HealthReport,
  PauseContract,
  RespondContract,
  type WireContract,
} from '@dc/shared/wire/contract';
import type { Context } from '../context.ts';
import type { Reader } from '../database/database.ts';
import { listContractRecords } from '../evidence/record-store.ts';
import { accountOf, type Principal } from '../http/principal.ts';
import { readRoute, streamRoute, writeRoute, type Route } from '../http/route.ts';
import { assertWithinLimit } from '../invoices/spending.ts';
import { openPaymentNow } from '../payments/checkouts.ts';
import { keyOfContract, keyOfExtension } from '../payments/payment-asks.ts';
import { pay } from '../payments/payment-service.ts';
import type { PaymentProvider } from '../payments/payment-provider.ts';
import { maySee } from './contract-rules.ts';
import { createContract, moveContract } from './contract-service.ts';
import { findContract, type ContractRow } from './contract-store.ts';
import { streamContract } from './contract-stream.ts';
import { requestExtension } from './extend-contract.ts';
import { fromHealthCursor, viewHealthPage } from './health-view.ts';
import { listContracts, viewContract, viewRow } from './contract-view.ts';

const ContractParams = closed({ id: Uuid });
const BASE = '/api/v1/contracts';

/** The routes. `payments` are the payment methods that this coordinator offers, by name. */
export function contractRoutes(context: Context, payments: ReadonlyMap<string, PaymentProvider>): Route[] {
  return [
    createRoute(context, payments),
    ...readRoutes(context),
    cancelRoute(context),
    extendRoute(context, payments),
    respondRoute(context),
    powerRoute(context, 'pause'),
    powerRoute(context, 'resume'),
  ];
}

function createRoute(context: Context, payments: ReadonlyMap<string, PaymentProvider>): Route {
  return writeRoute({
    method: 'POST',
    url: BASE,
    permission: 'account',
    summary: 'Rent: makes a contract and opens its payment.',
    schema: { body: CreateContract, response: Contract },
    errors: [
      'OFFERING_NOT_FOUND',
      'OFFERING_SOLD_OUT',
      'OFFERING_UNSERVED',
      'DURATION_OUT_OF_RANGE',
      'OPERATING_SYSTEM_UNKNOWN',
      'PAYMENT_METHOD_UNKNOWN',
      'PAYMENT_AMOUNT_UNSUPPORTED',
      'TOKEN_RATE_STALE',
      'WALLET_TOO_LOW',
      'SPENDING_LIMIT',
      'SSH_KEY_INVALID',
      'USAGE_CAP_REQUIRED',
      'USAGE_UNPAID',
      'MONEY_RANGE',
    ],
    successStatus: 201,
    idempotency: 'optional',
    prepare: ({ body }) => parseSshPublicKey(body.ssh_public_key),
    async handle({ body, principal, now }, trx, sshKey) {
      const provider = paymentBy(payments, body.payment_method);
      const contract = await createContract(context, trx, {
        body,
        sshKey,
        renter: accountOf(principal).account,
      });
      await assertWithinLimit(context, trx, {
        account: contract.renter_pubkey,
        currency: contract.currency,
      });
      const { refund_to: refundTo = 'source' } = body;
      const paid = await pay(context, trx, { contract, refundTo }, provider);
      return { status: 201, body: await viewRow(trx, paid, now) };
    },
    // Where it is paid elsewhere, the answer says where, unless the payment provider takes too long.
    complete: (contract, { now }) =>
      withCheckout(context, payments, { contract, key: keyOfContract(contract.id), now }),
  });
}

function readRoutes(context: Context): Route[] {
  const { db } = context;
  return [
    readRoute({
      method: 'GET',
      url: BASE,
      permission: 'account',
      summary: 'The caller’s contracts as a renter, newest first.',
      schema: { query: ContractQuery, response: listOf(Contract) },
      errors: [],
      async handle({ principal, query, now }) {
        const filter = {
          party: { renter: accountOf(principal).account },
          ...query,
          limit: query.limit ?? 50,
        };
        const page = await listContracts(db.read, filter, now);
        return { status: 200, body: { items: page.items, next_cursor: page.nextCursor } };
      },
    }),
    readRoute({
      method: 'GET',
      url: `${BASE}/:id`,
      permission: ['account', 'agent:fetch_contracts'],
      summary: 'One contract: state, stages, access, money.',
      schema: { params: ContractParams, response: Contract },
      errors: ['CONTRACT_NOT_FOUND'],
      async handle({ params, principal, now }) {
        const row = await visibleContract(db.read, params.id, principal);
        return { status: 200, body: await viewRow(db.read, row, now) };
      },
    }),
    streamRoute({
      method: 'GET',
      url: `${BASE}/:id/events`,
      permission: 'account',
      summary: 'The contract object as it is now, then after each change, as server-sent events.',
      schema: { params: ContractParams, response: Type.String() },
      errors: ['CONTRACT_NOT_FOUND'],
      produces: 'text/event-stream',
      resumption:
        'The id of the last event that was seen: a version of the contract. The stream begins with the contract as ' +
        'it is now, unless it still is that version; what lies between is in `timeline`.',
      async handle(input) {
        const row = await visibleContract(db.read, input.params.id, input.principal);
        await streamContract(context, input, row.id);
      },
    }),
    readRoute({
      method: 'GET',
      url: `${BASE}/:id/health`,
      permission: ['account', 'agent:fetch_contracts'],
      summary: 'The health records of the contract’s instance, newest first.',
      schema: {
        params: ContractParams,
        query: closed(ListQuery),
        response: listOf(HealthReport),
      },
      errors: ['CONTRACT_NOT_FOUND'],
      async handle({ params, query: { limit = 50, cursor }, principal }) {
        const { id: contractId } = await visibleContract(db.read, params.id, principal);
        const before = cursor === undefined ? undefined : fromHealthCursor(cursor);
        const filter = { contractId, kind: 'health' as const, limit: limit + 1, before };
        const rows = await listContractRecords(db.read, filter);
        return { status: 200, body: viewHealthPage(rows, limit) };
      },
    }),
  ];
}

function cancelRoute(context: Context): Route {
  return writeRoute({
    method: 'POST',
    url: `${BASE}/:id/cancel`,
    permission: 'account',
    summary: 'Ends the contract now and refunds what was not used.',
    schema: { params: ContractParams, body: CancelContract, response: Contract },
    errors: ['CONTRACT_NOT_FOUND', 'CONTRACT_STATE'],
    idempotency: 'optional',
    async handle({ params, body, principal, now }, trx) {
      const caller = accountOf(principal);
      const contract = await visibleContract(trx, params.id, caller);
      const isRenter = contract.renter_pubkey === caller.account;
      if (!isRenter && !caller.isAdmin)
        throw new AppError('PERMISSION_DENIED', 'Only the renter can cancel a contract.');
      assertUndisputed(contract);
      const after = await moveContract(context, trx, contract, {
        event: 'cancel',
        actor: isRenter ? 'renter' : 'admin',
        reason: body.reason ?? (isRenter ? 'Cancelled by the renter.' : 'Cancelled by an administrator.'),
      });
      return { status: 200, body: await viewRow(trx, after, now) };
    },
  });
}

function extendRoute(context: Context, payments: ReadonlyMap<string, PaymentProvider>): Route {
  return writeRoute({
    method: 'POST',
    url: `${BASE}/:id/extend`,
    permission: 'account',
    summary: 'Asks for more hours, at the rate of the contract; they count when their payment is confirmed.',
    schema: { params: ContractParams, body: ExtendContract, response: Contract },
    errors: [
      'CONTRACT_NOT_FOUND',
      'CONTRACT_STATE',
      'DURATION_OUT_OF_RANGE',
      'PAYMENT_METHOD_UNKNOWN',
      'PAYMENT_AMOUNT_UNSUPPORTED',
      'TOKEN_RATE_STALE',
      'WALLET_TOO_LOW',
      'SPENDING_LIMIT',
      'USAGE_UNPAID',
      'MONEY_RANGE',
    ],
    idempotency: 'required', // Twice is twice the hours and twice the money.
    async handle({ params, body, principal, now }, trx) {
      const caller = accountOf(principal);
      const contract = await visibleContract(trx, params.id, caller);
      if (contract.renter_pubkey !== caller.account)
        throw new AppError('PERMISSION_DENIED', 'Only the renter can extend a contract.');
      const provider = paymentBy(payments, contract.payment_method);
      const extension = await requestExtension(context, trx, contract, body.hours);
      await assertWithinLimit(context, trx, { account: caller.account, currency: contract.currency });
      const after = await pay(context, trx, { contract, extension }, provider);
      return { status: 200, body: await viewRow(trx, after, now) };
    },
    complete(contract, { now }) {
      const waiting = contract.extensions?.findLast(({ status }) => status === 'pending');
      if (waiting === undefined) return Promise.resolve(contract);
      return withCheckout(context, payments, { contract, key: keyOfExtension(waiting.id), now });
    },
  });
}

/** The money of a disputed payment is held: nothing can be split until the bank has decided. Throws CONTRACT_STATE. */
function assertUndisputed(contract: ContractRow): void {
  if (contract.payment_state !== 'disputed') return;
  throw new AppError('CONTRACT_STATE', 'The payment is disputed.', {
    remedy: 'Wait for the outcome of the dispute: it resumes or ends the contract by itself.',
  });
}

/** Pausing and resuming: what an admin does in a dispute or for abuse. */
function powerRoute(context: Context, event: 'pause' | 'resume'): Route {
  return writeRoute({
    method: 'POST',
    url: `/api/v1/admin/contracts/:id/${event}`,
    permission: 'admin',
    summary:
      event === 'pause'
        ? 'Stops an active contract’s clock and its instance, for a dispute or abuse.'
        : 'Starts a paused contract again; its end moves by the time that it was paused.',
    schema: { params: ContractParams, body: PauseContract, response: Contract },
    errors: ['CONTRACT_NOT_FOUND', 'CONTRACT_STATE'],
    idempotency: 'optional',
    async handle({ params, body, principal, now }, trx) {
      const contract = await visibleContract(trx, params.id, principal);
      const reason = body.reason ?? `${event === 'pause' ? 'Paused' : 'Resumed'} by an administrator.`;
      if (event === 'resume') assertUndisputed(contract);
      const after = await moveContract(context, trx, contract, { event, actor: 'admin', reason });
      return { status: 200, body: await viewRow(trx, after, now) };
    },
  });
}

function respondRoute(context: Context): Route {
  return writeRoute({
    method: 'POST',
    url: '/api/v1/provider/rental-requests/:id/respond',
    permission: 'provider',
    summary:
      'Accepts or rejects a paid request, where auto-accept is off. A rejected one is refunded in full.',
    schema: { params: ContractParams, body: RespondContract, response: Contract },
    errors: ['CONTRACT_NOT_FOUND', 'CONTRACT_STATE'],
    idempotency: 'optional',
    async handle({ params, body, principal, now }, trx) {
      const caller = accountOf(principal);
      const contract = await visibleContract(trx, params.id, caller);
      if (contract.provider_pubkey !== caller.account) {
        throw new AppError('PERMISSION_DENIED', 'Only the provider of the contract can respond to it.');
      }
      if (body.accept && contract.paid_at === null) {
        throw new AppError(
          'CONTRACT_STATE',
          'The contract is not paid yet: it can be accepted after its payment.',
        );
      }
      const after = await moveContract(context, trx, contract, {
        event: body.accept ? 'accept' : 'reject',
        actor: 'provider',
        reason: body.reason ?? (body.accept ? 'Accepted by the provider.' : 'Rejected by the provider.'),
      });
      return { status: 200, body: await viewRow(trx, after, now) };
    },
  });
}

/** The contract with its checkout, opened now unless it was before. */
async function withCheckout(
  context: Context,
  payments: ReadonlyMap<string, PaymentProvider>,
  { contract, key, now }: { contract: WireContract; key: string; now: number },
): Promise<WireContract> {
  if (payments.get(contract.payment.method)?.online === undefined) return contract;
  await openPaymentNow(context, payments, key);
  return (await viewContract(context.db.read, contract.id, now)) ?? contract;
}

function paymentBy(payments: ReadonlyMap<string, PaymentProvider>, method: string): PaymentProvider {
  const provider = payments.get(method);
  if (provider !== undefined) return provider;
  const offered = [...payments.keys()].join(', ') || 'none at present';
  throw new AppError('PAYMENT_METHOD_UNKNOWN', `Payment methods offered here: ${offered}.`);
}

/** The contract, if the caller may see it; one that is not theirs looks like one that is not there. */
async function visibleContract(reader: Reader, id: string, principal: Principal): Promise<ContractRow> {
  const row = await findContract(reader, id);
  if (row === null || !maySee(principal, row)) throw new AppError('CONTRACT_NOT_FOUND');
  return row;
}
