import { createPrivateKey, createPublicKey } from 'node:crypto';
import fc from 'fast-check';
import { CompactSign, compactVerify } from 'jose';
import { describe, expect, it } from 'vitest';
import { aKey, flipBit } from '../testing/keys.ts';
import { fromBase64Url, hashJws, parseJws, signJws, verifyJws } from './jws.ts';

const key = aKey('jws');
const publicKeyObject = createPublicKey({
  key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key.publicKey, 'hex').toString('base64url') },
  format: 'jwk',
});

/** A compact JWS from its three parts as they are, signed by `key` whatever the header says. */
function handMade(header: unknown, payload: string | object = { a: 1 }): string {
  const encode = (value: unknown) =>
    Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
  const input = `${encode(header)}.${encode(payload)}`;
  return `${input}.${key.sign(Buffer.from(input)).toString('base64url')}`;
}

describe('signJws and verifyJws', () => {
  it('says who signed what', () => {
    const jws = parseJws(signJws('dc-test', { amount: '5', at: 'now' }, key))!;
    expect([jws.typ, jws.kid, jws.payload]).toEqual(['dc-test', key.publicKey, { amount: '5', at: 'now' }]);
    expect(verifyJws(jws, 'dc-test')).toBe(true);
  });

  it('does not take one type for another', () => {
    const jws = parseJws(signJws('dc-checkpoint', { a: 1 }, key))!;
    expect(verifyJws(jws, 'dc-record')).toBe(false);
  });

  it('does not take a signature by another key than the one in the header', () => {
    const compact = handMade({ alg: 'EdDSA', typ: 'dc-test', kid: aKey('somebody else').publicKey });
    expect(verifyJws(parseJws(compact)!, 'dc-test')).toBe(false);
  });

  it('refuses every change of one bit', () => {
    const compact = signJws('dc-test', { text: 'Grüße', list: [1, 2, 3], deep: { a: null } }, key);
    fc.assert(
      fc.property(fc.nat(compact.length - 1), fc.nat(7), (index, bit) => {
        const jws = parseJws(flipBit(compact, index, bit));
        expect(jws !== null && verifyJws(jws, 'dc-test')).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('an implementation that is not ours', () => {
  it('reads what we sign', async () => {
    const compact = signJws('dc-record', { seq: 1, text: 'ä' }, key);
    const { payload, protectedHeader } = await compactVerify(compact, publicKeyObject);
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual({ seq: 1, text: 'ä' });
    expect(protectedHeader).toEqual({ alg: 'EdDSA', typ: 'dc-record', kid: key.publicKey });
  });

  it('signs what we read', async () => {
    const seed = Buffer.alloc(32, 9);
    const privateKey = createPrivateKey({
      key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]),
      format: 'der',
      type: 'pkcs8',
    });
    const kid = Buffer.from(
      createPublicKey(privateKey).export({ format: 'jwk' }).x as string,
      'base64url',
    ).toString('hex');
    const compact = await new CompactSign(Buffer.from('{"seq":7}'))
      .setProtectedHeader({ alg: 'EdDSA', typ: 'dc-record', kid })
      .sign(privateKey);
    const jws = parseJws(compact)!;
    expect(jws.payload).toEqual({ seq: 7 });
    expect(verifyJws(jws, 'dc-record')).toBe(true);
  });
});

describe('parseJws is strict', () => {
  const header = { alg: 'EdDSA', typ: 'dc-test', kid: key.publicKey };

  it.each([
    ['another algorithm', { ...header, alg: 'none' }],
    ['the algorithm under its newer name', { ...header, alg: 'Ed25519' }],
    ['no algorithm', { typ: header.typ, kid: header.kid }],
    ['no type', { alg: header.alg, kid: header.kid }],
    ['a kid that is no key', { ...header, kid: 'key-1' }],
    ['a kid in upper case', { ...header, kid: header.kid.toUpperCase() }],
    ['a member more', { ...header, crit: ['b64'] }],
    ['a key inside', { ...header, jwk: { kty: 'OKP' } }],
    ['a header that is a list', [header]],
    ['a header that is null', 'null'],
    ['a header that is not JSON', '{"alg":'],
  ])('refuses %s', (_name, bad) => expect(parseJws(handMade(bad))).toBeNull());

  it('refuses a member named like the prototype', () => {
    expect(
      parseJws(handMade(`{"alg":"EdDSA","typ":"t","kid":"${key.publicKey}","__proto__":{"a":1}}`)),
    ).toBeNull();
  });

  it('refuses a payload that is not JSON', () => {
    expect(parseJws(handMade(header, 'hello'))).toBeNull();
    expect(parseJws(handMade(header, 'nullx'))).toBeNull();
  });

  it('hands on a payload that is JSON and no object, for the reader to judge', () => {
    expect(parseJws(handMade(header, 'null'))?.payload).toBeNull();
    expect(parseJws(handMade(header, '5'))?.payload).toBe(5);
  });

  it.each(['', '.', '..', '...', 'a', 'a.b', 'a.b.c.d', '.b.c', 'a..c', 'a.b.'])('refuses %j', (text) => {
    expect(parseJws(text)).toBeNull();
  });

  it('refuses padding, the other alphabet, spaces and unused bits that are set', () => {
    const compact = signJws('dc-test', { a: '>>>???' }, key);
    const [head, body, signature] = compact.split('.') as [string, string, string];
    expect(parseJws(`${head}.${body}.${signature}==`)).toBeNull();
    expect(parseJws(`${head}.${body} .${signature}`)).toBeNull();
    expect(parseJws(`${head}.${body}\n.${signature}`)).toBeNull();
    expect(
      parseJws(`${head}.${body}.${signature.replace(/[-_]/g, (c) => (c === '-' ? '+' : '/'))}/`),
    ).toBeNull();
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const position = last.indexOf(signature.at(-1)!);
    expect(parseJws(`${head}.${body}.${signature.slice(0, -1)}${last[position + 1]!}`)).toBeNull();
    expect(parseJws(`${head}.${body}.${signature.slice(0, 80)}`)).toBeNull();
  });

  it('throws nothing, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(parseJws(text)).toBeNull();
      }),
    );
  });
});

describe('hashJws', () => {
  it('is the SHA-256 of the text', () => {
    expect(hashJws('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});

describe('fromBase64Url', () => {
  it('takes exactly what encodes back to the same text', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromBase64Url(Buffer.from(bytes).toString('base64url'))).toEqual(Buffer.from(bytes));
      }),
    );
    for (const text of ['a', 'ab', 'AA==', '+A', ' AA', 'A A']) expect(fromBase64Url(text)).toBeNull();
  });
});
