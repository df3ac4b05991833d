/**
 * Logging in with a browser: a challenge, signed by one of the account's keys, opens a session, whose cookie then
 * stands for the account. A program signs its requests instead.
 */
import { Type } from 'typebox';
import { verifySignature } from '@dc/shared/crypto/ed25519';
import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { AppError } from '@dc/shared/errors';
import { fromHex } from '@dc/shared/ids';
import { Challenge, CreateChallenge, CreateSession, loginText, Session } from '@dc/shared/wire/account';
import { toTimestamp } from '@dc/shared/wire/schema-parts';
import type { Context } from '../context.ts';
import { clearedSessionCookie, hashToken, readSessionToken, sessionCookie } from '../http/session-cookie.ts';
import { writeRoute, type Route } from '../http/route.ts';
import { findKey } from './account-store.ts';
import { viewOwnAccount } from './account-view.ts';
import { deleteSession, insertChallenge, insertSession, useChallenge } from './session-store.ts';

/** For signing it in the same moment; also for a person who has to find a key first. */
const CHALLENGE_MS = 5 * 60 * 1000;
const SESSION_S = 7 * 24 * 60 * 60;

export function sessionRoutes(context: Context): Route[] {
  const newToken = (): string => Buffer.from(context.random.bytes(32)).toString('base64url');
  return [challengeRoute(newToken), loginRoute(newToken), logoutRoute()];
}

function challengeRoute(newToken: () => string): Route {
  return writeRoute({
    method: 'POST',
    url: '/api/v1/sessions/challenge',
    permission: 'public',
    summary: 'A challenge to sign for logging in with this key. It can be used once.',
    schema: { body: CreateChallenge, response: Challenge },
    errors: ['ACCOUNT_NOT_FOUND', 'KEY_REVOKED'],
    successStatus: 201,
    idempotency: 'none',
    async handle({ body, now }, trx) {
      const key = await findKey(trx, body.public_key);
      // No secret: whoever knows a username can read its keys. And nobody fills the table with keys they made up.
      if (key === null) {
        parsePublicKey(body.public_key);
        throw new AppError('ACCOUNT_NOT_FOUND');
      }
      if (key.revoked_at !== null) throw new AppError('KEY_REVOKED');
      const challenge = newToken();
      const expiresAt = now + CHALLENGE_MS;
      await insertChallenge(trx, { challenge, public_key: body.public_key, expires_at: expiresAt });
      return { status: 201, body: { challenge, expires_at: toTimestamp(expiresAt) } };
    },
  });
}

function loginRoute(newToken: () => string): Route {
  return writeRoute({
    method: 'POST',
    url: '/api/v1/sessions',
    permission: 'public',
    summary: 'Opens a session for a signed challenge, and sets its cookie.',
    schema: { body: CreateSession, response: Session },
    errors: ['SIGNATURE_INVALID', 'CHALLENGE_INVALID', 'KEY_UNKNOWN', 'KEY_REVOKED'],
    successStatus: 201,
    idempotency: 'none', // A challenge is for one session.
    prepare({ body, authority }) {
      const text = Buffer.from(loginText(authority, body.challenge));
      if (verifySignature(body.public_key, text, fromHex(body.signature))) return;
      parsePublicKey(body.public_key);
      throw new AppError('SIGNATURE_INVALID', 'The signature is not that of the challenge.');
    },
    async handle({ body, now }, trx) {
      const key = await findKey(trx, body.public_key);
      if (key === null) {
        parsePublicKey(body.public_key);
        throw new AppError('KEY_UNKNOWN');
      }
      if (key.revoked_at !== null) throw new AppError('KEY_REVOKED');
      if (!(await useChallenge(trx, body.challenge, body.public_key, now)))
        throw new AppError('CHALLENGE_INVALID');
      const token = newToken();
      const expiresAt = now + SESSION_S * 1000;
      await insertSession(trx, {
        token_hash: hashToken(token),
        account_pubkey: key.account_pubkey,
        created_at: now,
        expires_at: expiresAt,
      });
      const account = await viewOwnAccount(trx, key.account_pubkey);
      return {
        status: 201,
        body: { account, expires_at: toTimestamp(expiresAt) },
        headers: { 'set-cookie': sessionCookie(token, SESSION_S) },
      };
    },
  });
}

function logoutRoute(): Route {
  return writeRoute({
    method: 'DELETE',
    url: '/api/v1/sessions/current',
    permission: 'account',
    summary: 'Ends the session of this cookie.',
    schema: { response: Type.Null() },
    errors: [],
    successStatus: 204,
    idempotency: 'none',
    async handle({ raw }, trx) {
      const token = readSessionToken(raw.request.headers);
      if (token !== null) await deleteSession(trx, hashToken(token));
      return { status: 204, body: null, headers: { 'set-cookie': clearedSessionCookie() } };
    },
  });
}
