/** Signing in with an account's key: a challenge, a signature, a session; and a new account where there is none. */
import { toHex } from '@dc/shared/ids';
import type { WireAccount } from '@dc/shared/wire/account';
import type { AccountKey } from '../identity/account-key.ts';
import { loginMessage, signBrowserRequest } from '../identity/sign-browser-request.ts';
import { ApiError, callApi } from './api.ts';
import { browserRandom } from './browser-random.ts';
import { serverNow } from './server-time.ts';

/** Opens a session. Null where no account has this key. */
export async function openSession(key: AccountKey): Promise<WireAccount | null> {
  const public_key = key.publicKey;
  try {
    const { challenge } = await callApi<{ challenge: string }>('POST', '/sessions/challenge', {
      body: JSON.stringify({ public_key }),
    });
    const message = loginMessage(location.host, challenge);
    const signature = toHex(await key.sign(new TextEncoder().encode(message)));
    const body = JSON.stringify({ public_key, challenge, signature });
    return (await callApi<{ account: WireAccount }>('POST', '/sessions', { body })).account;
  } catch (error) {
    if (error instanceof ApiError && (error.code === 'KEY_UNKNOWN' || error.code === 'ACCOUNT_NOT_FOUND'))
      return null;
    throw error;
  }
}

/** Makes the account of `key`; one that is there already is a success too. `username` may be empty. */
export async function createAccount(key: AccountKey, username: string): Promise<void> {
  const body = JSON.stringify({ public_key: key.publicKey, ...(username === '' ? {} : { username }) });
  try {
    await postSigned('/accounts', body, key, serverNow());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === 'ACCOUNT_EXISTS') return;
    if (error.code !== 'SIGNATURE_SKEW' || error.serverTime === undefined) throw error;
    await postSigned('/accounts', body, key, Date.parse(error.serverTime));
  }
}

/** Ends the session. */
export async function closeSession(): Promise<void> {
  await callApi('DELETE', '/sessions/current');
}

async function postSigned(path: string, body: string, key: AccountKey, nowMs: number): Promise<void> {
  const url = new URL(`/api/v1${path}`, location.href);
  const request = { method: 'POST', url, body: new TextEncoder().encode(body) };
  const headers = await signBrowserRequest(request, { key, random: browserRandom, nowMs });
  await callApi('POST', path, { body, headers });
}
