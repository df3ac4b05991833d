import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex } from '../ids.ts';
import { aKey, failureOf } from '../testing/keys.ts';
import { deriveSealSecret, formatSetupToken, parseSetupToken } from './setup-token.ts';

const seed = fromHex('11'.repeat(32));
const sealSecret = fromHex('22'.repeat(32));
const providerKey = aKey('provider').publicKey;
const token = formatSetupToken(seed, sealSecret, providerKey);

/** A token with a right checksum around `body`. */
const withChecksum = (body: Buffer) =>
  `dcs_${Buffer.concat([body, createHash('sha256').update(body).digest().subarray(0, 4)]).toString('base64url')}`;

const bodyOf = (text: string) => Buffer.from(text.slice(4), 'base64url').subarray(0, 97);

describe('a setup token', () => {
  it('brings back what it was made of', () => {
    const parsed = parseSetupToken(token);
    expect(parsed.setupKey.publicKey).toBe(
      'd04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737',
    );
    expect(parsed.sealSecret).toEqual(sealSecret);
    expect(parsed.providerKey).toBe(providerKey);
  });

  it('may be pasted with space around it', () => {
    expect(parseSetupToken(` ${token}\r\n`).providerKey).toBe(providerKey);
  });

  it('can be written for any two secrets', () => {
    const secret = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(secret, secret, (one, other) => {
        expect(parseSetupToken(formatSetupToken(one, other, providerKey)).sealSecret).toEqual(other);
      }),
    );
  });

  it('is refused with any one character changed, and never repeated', () => {
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.integer({ min: 33, max: 126 }), (index, charCode) => {
        fc.pre(token.charCodeAt(index) !== charCode);
        const changed = token.slice(0, index) + String.fromCharCode(charCode) + token.slice(index + 1);
        const [code, message] = failureOf(() => parseSetupToken(changed));
        expect(code).toBe('SETUP_TOKEN_INVALID');
        expect(message).not.toContain(changed.slice(8, 40));
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['nothing', '', 'cut off or has a wrong form'],
    ['only its beginning', 'dcs_', 'cut off or has a wrong form'],
    ['cut off', token.slice(0, -1), 'cut off or has a wrong form'],
    ['twice', token + token, 'cut off or has a wrong form'],
    ['without its beginning', token.slice(4), 'cut off or has a wrong form'],
    ['in two lines', `${token.slice(0, 50)}\n${token.slice(50)}`, 'cut off or has a wrong form'],
    ['of the predecessor', 'apt_europe_0123456789abcdef', 'cut off or has a wrong form'],
    ['of another version', withChecksum(Buffer.from(bodyOf(token)).fill(2, 0, 1)), 'is for a newer agent'],
    [
      'with a wrong checksum',
      `dcs_${Buffer.concat([bodyOf(token), Buffer.alloc(4)]).toString('base64url')}`,
      'a typing error',
    ],
  ])('is refused %s', (_name, text, words) => {
    const [code, message] = failureOf(() => parseSetupToken(text));
    expect([code, message]).toEqual(['SETUP_TOKEN_INVALID', expect.stringContaining(words)]);
  });

  it('is not written from secrets of another length', () => {
    expect(() => formatSetupToken(seed.subarray(1), sealSecret, providerKey)).toThrow('32 bytes');
    expect(() => formatSetupToken(seed, new Uint8Array(33), providerKey)).toThrow('32 bytes');
  });

  it('does not print its seed once it is read', () => {
    const printed = inspect(parseSetupToken(token).setupKey, { depth: 9 });
    expect(printed).not.toContain('11 11 11');
    expect(printed).not.toContain('1111');
  });
});

describe('the seal secret of a provider', () => {
  it('is the same whenever it is derived, and another for another provider', () => {
    const secret = deriveSealSecret(aKey('provider'));
    expect(secret).toHaveLength(32);
    expect(deriveSealSecret(aKey('provider'))).toEqual(secret);
    expect(deriveSealSecret(aKey('other provider'))).not.toEqual(secret);
  });
});
