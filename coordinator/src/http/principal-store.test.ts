import { parsePublicKey } from '@dc/shared/crypto/public-key';
import { describe, expect, it } from 'vitest';
import { openTestDatabase } from '../database/testing/test-database.ts';
import { keyOf } from '../testing/people.ts';
import { findPrincipal, pruneNonces, spendNonce } from './principal-store.ts';

const NEUTRAL_POINT = `01${'00'.repeat(31)}`;

const signature = (keyid: string, nonce = 'n', nonceExpiresAt = 1000) =>
  ({ kind: 'signature', keyid, nonce, nonceExpiresAt }) as const;

describe('findPrincipal', () => {
  it('takes a key that nobody has registered for just that key', async () => {
    const { publicKey } = keyOf('stranger');
    const db = await openTestDatabase();
    expect(await findPrincipal(db.read, signature(publicKey), 'account', 0)).toEqual({
      kind: 'key',
      publicKey,
    });
    expect(parsePublicKey(publicKey)).toBe(publicKey);
  });

  it('lets no key of small order through, even where its forged signature was taken', async () => {
    const db = await openTestDatabase();
    await expect(findPrincipal(db.read, signature(NEUTRAL_POINT), 'account', 0)).rejects.toMatchObject({
      code: 'KEY_WEAK',
    });
  });
});

describe('nonces', () => {
  it('of two keys may be the same', async () => {
    const db = await openTestDatabase();
    await db.write((trx) => spendNonce(trx, signature('a')));
    await db.write((trx) => spendNonce(trx, signature('b')));
    await expect(db.write((trx) => spendNonce(trx, signature('a')))).rejects.toMatchObject({
      code: 'SIGNATURE_REPLAYED',
    });
  });

  it('are forgotten in steps, and only once their requests are refused for their age', async () => {
    const db = await openTestDatabase();
    for (let count = 0; count < 5; count += 1)
      await db.write((trx) => spendNonce(trx, signature('a', `old ${count}`, 1000)));
    await db.write((trx) => spendNonce(trx, signature('a', 'new', 2000)));
    expect(await db.write((trx) => pruneNonces(trx, 1001, 3))).toBe(3);
    expect(await db.write((trx) => pruneNonces(trx, 1001, 3))).toBe(2);
    expect(await db.write((trx) => pruneNonces(trx, 1001, 3))).toBe(0);
    const left = await db.read.selectFrom('nonces').select('nonce').execute();
    expect(left).toEqual([{ nonce: 'new' }]);
  });
});
