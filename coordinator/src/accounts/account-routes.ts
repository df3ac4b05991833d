/** The calls about accounts and their keys. */
import { Type } from 'typebox';
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { AppError } from '@dc/shared/errors';
import { Account, AddKey, CreateAccount } from '@dc/shared/wire/account';
import { closed, PublicKey } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { accountOf } from '../http/principal.ts';
import { readRoute, writeRoute, type Route } from '../http/route.ts';
import { addKey, createAccount, removeKey } from './account-service.ts';
import { findAccountByUsername } from './account-store.ts';
import { viewAccount, viewOwnAccount } from './account-view.ts';

export function accountRoutes(context: Context): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/accounts',
      permission: 'key',
      summary: 'Makes an account. Signed by its first key, which names the account for ever.',
      schema: { body: CreateAccount, response: Account },
      errors: ['KEY_WEAK', 'ACCOUNT_EXISTS', 'KEY_TAKEN', 'USERNAME_TAKEN'],
      successStatus: 201,
      idempotency: 'optional',
      async handle({ body, principal, now }, trx) {
        if (principal.kind !== 'key') throw new Error('the route admits only keys');
        if (body.public_key !== principal.publicKey) {
          parsePublicKey(body.public_key);
          throw new AppError('REQUEST_INVALID', 'The account’s key must sign the request.', {
            fields: [{ pointer: '/public_key', detail: 'must be the key that signs the request' }],
          });
        }
        const wanted = {
          publicKey: body.public_key,
          username: body.username ?? null,
          email: body.email ?? null,
        };
        const row = await createAccount(trx, wanted, now);
        return { status: 201, body: await viewAccount(trx, row) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/accounts/me',
      permission: 'account',
      summary: 'The caller’s account.',
      schema: { response: Account },
      errors: [],
      async handle({ principal }) {
        return { status: 200, body: await viewOwnAccount(context.db.read, accountOf(principal).account) };
      },
    }),
    readRoute({
      method: 'GET',
      url: '/api/v1/accounts/by-username/:username',
      permission: 'public',
      summary: 'The account with this username, and its keys.',
      schema: { params: closed({ username: Type.String({ maxLength: 64 }) }), response: Account },
      errors: ['ACCOUNT_NOT_FOUND'],
      async handle({ params }) {
        const row = await findAccountByUsername(context.db.read, params.username.toLowerCase());
        if (row === null) throw new AppError('ACCOUNT_NOT_FOUND');
        return { status: 200, body: await viewAccount(context.db.read, row) };
      },
    }),
    ...keyRoutes(),
  ];
}

function keyRoutes(): Route[] {
  return [
    writeRoute({
      method: 'POST',
      url: '/api/v1/accounts/me/keys',
      permission: 'account',
      summary: 'Adds a key to the caller’s account, with the proof that its holder wants that.',
      schema: { body: AddKey, response: Account },
      errors: ['KEY_WEAK', 'SIGNATURE_INVALID', 'KEY_TAKEN', 'KEY_LIMIT'],
      successStatus: 201,
      idempotency: 'optional',
      async handle({ body, principal, now }, trx) {
        const { account } = accountOf(principal);
        const { public_key: publicKey, label = '', proof } = body;
        await addKey(trx, { account, publicKey, label, proof }, now);
        return { status: 201, body: await viewOwnAccount(trx, account) };
      },
    }),
    writeRoute({
      method: 'DELETE',
      url: '/api/v1/accounts/me/keys/:public_key',
      permission: 'account',
      summary: 'Revokes a key at once, and ends all sessions of the account.',
      schema: { params: closed({ public_key: PublicKey }), response: Type.Null() },
      errors: ['KEY_NOT_FOUND', 'KEY_LAST'],
      successStatus: 204,
      idempotency: 'none', // Again is a success.
      async handle({ params, principal, now }, trx) {
        await removeKey(trx, accountOf(principal).account, params.public_key, now);
        return { status: 204, body: null };
      },
    }),
  ];
}
