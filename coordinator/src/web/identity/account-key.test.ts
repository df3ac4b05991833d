import { hkdfSync, pbkdf2Sync, randomBytes } from 'node:crypto';
import { SigningKey, verifySignature } from '@dc/shared/crypto/ed25519';
import { sealBox } from '@dc/shared/crypto/seal-box';
import { openBox } from '@dc/shared/crypto/sealed-box';
import { loginText } from '@dc/shared/wire/account';
import { verifyRequest } from '@dc/shared/signing/verify-request';
import { describe, expect, it } from 'vitest';
import { accountKeyOf, accountSeed, bip39Seed, scriptKey, storedAccountKey } from './account-key.ts';
import { loginMessage, signBrowserRequest } from './sign-browser-request.ts';

const WORDS = 'legal winner thank year wave sausage worth useful legal winner thank yellow'.split(' ');

describe('the key of an account', () => {
  it('is the one that the documented derivation gives', async () => {
    const seed = pbkdf2Sync(WORDS.join(' '), 'mnemonic', 2048, 64, 'sha512');
    const derived = Buffer.from(hkdfSync('sha256', seed, '', 'dc-account-key-v1', 32));
    const key = await accountKeyOf(WORDS);
    expect(key.publicKey).toBe(SigningKey.fromSeed(derived).publicKey);
    // Pinned: another derivation would lock every renter out.
    expect(key.publicKey).toBe('fb7fb8d4f99c6f0d2fe99ab6f723bd948a356459fef4445e3159f7786fa1e42b');
  });

  it('signs the same with WebCrypto and with JavaScript', async () => {
    const message = randomBytes(100);
    const native = await accountKeyOf(WORDS);
    const script = await scriptKey(await accountSeed(await bip39Seed(WORDS)));
    expect(native.stored).not.toBeNull();
    expect(script.publicKey).toBe(native.publicKey);
    expect(await script.sign(message)).toEqual(await native.sign(message));
    expect(verifySignature(native.publicKey, message, await native.sign(message))).toBe(true);
  });

  it('does not give its private half away once it is stored', async () => {
    const { publicKey, stored } = await accountKeyOf(WORDS);
    if (stored === null) throw new Error('this Node has Ed25519 in WebCrypto');
    expect(stored.extractable).toBe(false);
    await expect(crypto.subtle.exportKey('pkcs8', stored)).rejects.toThrow();
    const again = storedAccountKey(publicKey, stored, null);
    expect(verifySignature(publicKey, Buffer.from('a'), await again.sign(Buffer.from('a')))).toBe(true);
  });
});

describe('what opens boxes', () => {
  const CONTRACT = '01976f00-0000-7000-8000-0000000000c1';

  it('opens what an agent sealed to the account, and cannot be read out', async () => {
    const { publicKey, box: key } = await accountKeyOf(WORDS);
    if (key === null) throw new Error('this Node has X25519 in WebCrypto');
    const random = { bytes: (count: number) => randomBytes(count) };
    const box = await sealBox('the password', { publicKey, contractId: CONTRACT }, random);
    expect(await openBox(box, key, CONTRACT)).toBe('the password');
    expect(key.privateKey.extractable).toBe(false);
    await expect(crypto.subtle.exportKey('pkcs8', key.privateKey as never)).rejects.toThrow();
  });
});

describe('a request signed in the browser', () => {
  const nowMs = Date.parse('2026-11-20T12:00:00Z');
  const random = { bytes: (count: number) => randomBytes(count) };
  const sign = async (address: string) => {
    const url = new URL(address);
    const body = new TextEncoder().encode('{"public_key":"ü"}');
    const key = await accountKeyOf(WORDS);
    const headers = await signBrowserRequest({ method: 'POST', url, body }, { key, random, nowMs });
    return {
      request: { method: 'POST', authority: url.host, target: url.pathname + url.search, headers, body },
      key,
    };
  };

  it('is accepted by the coordinator’s own verification', async () => {
    for (const address of ['http://127.0.0.1:8787/api/v1/accounts', 'https://dc.example/a?b=%20c&d']) {
      const { request, key } = await sign(address);
      expect(verifyRequest(request, nowMs).keyid).toBe(key.publicKey);
    }
  });

  it('is refused when anything of it was changed', async () => {
    const { request } = await sign('http://127.0.0.1:8787/api/v1/accounts');
    const changes = [
      { method: 'PUT' },
      { authority: 'other:1' },
      { target: '/api/v1/accounts?x' },
      { body: Buffer.from('{}') },
    ];
    for (const change of changes) expect(() => verifyRequest({ ...request, ...change }, nowMs)).toThrow();
  });

  it('never carries the same nonce twice', async () => {
    const nonces = await Promise.all(
      [1, 2, 3].map(async () => verifyRequest((await sign('http://a/')).request, nowMs).nonce),
    );
    expect(new Set(nonces).size).toBe(3);
  });
});

describe('the text that is signed to log in', () => {
  it('is the one that the coordinator checks', () => {
    expect(loginMessage('dc.example:443', 'abc')).toBe(loginText('dc.example:443', 'abc'));
  });
});
