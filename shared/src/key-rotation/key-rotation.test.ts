/** Announcements of new coordinator keys: who may make one, and who is led where by them. */
import { describe, expect, it } from 'vitest';
import { parseJws, signJws } from '../crypto/jws.ts';
import { signOrder, verifyOrder } from '../orders/order.ts';
import { aKey } from '../testing/keys.ts';
import {
  followRotations,
  KEY_ACCEPTANCE_TYP,
  KEY_ROTATION_TYP,
  keyEnds,
  ROTATION_START,
  signKeyRotation,
  verifyKeyRotation,
  type RotationTerms,
} from './key-rotation.ts';

const [first, second, third, thief] = ['first', 'second', 'third', 'thief'].map(aKey) as [
  ReturnType<typeof aKey>,
  ReturnType<typeof aKey>,
  ReturnType<typeof aKey>,
  ReturnType<typeof aKey>,
];
const YEAR_S = 31_536_000;
const terms = { environment: 'test', number: 1, prev: ROTATION_START, iat: 1000, starts: 2000, ends: 3000 };
const toSecond = signKeyRotation(terms, first, second);
const toThird = signKeyRotation(
  {
    ...terms,
    number: 2,
    prev: verifyKeyRotation(toSecond)!.hash,
    iat: YEAR_S,
    starts: YEAR_S,
    ends: YEAR_S + 9,
  },
  second,
  third,
);
const keysOf = (roots: string[], rotations: string[], environment = 'test') =>
  followRotations(roots, rotations, environment).map(({ key }) => key);

describe('An announcement', () => {
  it('is one only with both keys’ signatures over the same words', () => {
    expect(verifyKeyRotation(toSecond)).toMatchObject({ iss: first.publicKey, next: second.publicKey });
    const payload = parseJws(toSecond)!.payload as RotationTerms & { acceptance: string };
    const { acceptance, ...agreed } = payload;
    // The new key did not agree, agreed to something else, or is not the one that agreed.
    expect(verifyKeyRotation(signJws(KEY_ROTATION_TYP, agreed, first))).toBeNull();
    expect(verifyKeyRotation(signJws(KEY_ROTATION_TYP, { ...payload, ends: 9000 }, first))).toBeNull();
    const byThief = { ...agreed, acceptance: signJws(KEY_ACCEPTANCE_TYP, agreed, thief) };
    expect(verifyKeyRotation(signJws(KEY_ROTATION_TYP, byThief, first))).toBeNull();
    // The old key did not sign.
    expect(verifyKeyRotation(signJws(KEY_ROTATION_TYP, { ...agreed, acceptance }, thief))).toBeNull();
    expect(verifyKeyRotation(signJws('dc-order', payload, first))).toBeNull();
    expect(verifyKeyRotation('rubbish')).toBeNull();
    expect(verifyKeyRotation(signKeyRotation({ ...terms, ends: 1999 }, first, second))).toBeNull();
  });
});

describe('Following announcements', () => {
  it('leads from any pinned key to the newest, after years', () => {
    const all = [first, second, third].map(({ publicKey }) => publicKey);
    expect(keysOf([first.publicKey], [toSecond, toThird])).toEqual(all);
    expect(keysOf([second.publicKey], [toSecond, toThird])).toEqual(all.slice(1));
    expect(keysOf([third.publicKey], [toSecond, toThird])).toEqual(all.slice(2));
  });

  it('leads nowhere by a stranger’s key, another environment’s or a second successor', () => {
    const stolen = signKeyRotation(terms, thief, second);
    expect(keysOf([first.publicKey], [stolen])).toEqual([first.publicKey]);
    expect(keysOf([first.publicKey], [toSecond], 'prod')).toEqual([first.publicKey]);
    const rival = signKeyRotation({ ...terms, ends: 9000 }, first, thief);
    expect(keysOf([first.publicKey], [toSecond, rival])).not.toContain(thief.publicKey);
    const outOfChain = signKeyRotation({ ...terms, number: 2 }, second, thief);
    expect(keysOf([first.publicKey], [toSecond, outOfChain])).not.toContain(thief.publicKey);
    const back = signKeyRotation(
      { ...terms, number: 2, prev: verifyKeyRotation(toSecond)!.hash },
      second,
      first,
    );
    expect(followRotations([first.publicKey], [toSecond, back], 'test')).toHaveLength(2);
  });
});

describe('Orders over a rotation', () => {
  const pins = followRotations([first.publicKey], [toSecond], 'test');
  const expected = (nowS: number) => ({
    coordinatorKeys: pins.map(({ key }) => key),
    keyEnds: keyEnds(pins),
    agentKey: 'agent',
    environment: 'test',
    nowMs: nowS * 1000,
  });
  const order = (key: typeof first, iat: number, exp = iat + 300): string =>
    signOrder(
      {
        iss: key.publicKey,
        aud: 'agent',
        sub: 'contract',
        kind: 'stop',
        epoch: 1,
        iat,
        exp,
        jti: 'order',
        environment: 'test',
      },
      key,
    );

  it('count by either key until the old one ends, and then only by the new one', () => {
    expect(verifyOrder(order(first, 2500), expected(2500)).kind).toBe('stop');
    expect(verifyOrder(order(second, 2500), expected(2500)).kind).toBe('stop');
    expect(verifyOrder(order(first, 2999), expected(3010)).kind).toBe('stop');
    expect(() => verifyOrder(order(first, 3000), expected(3000))).toThrow('was replaced');
    expect(verifyOrder(order(second, YEAR_S), expected(YEAR_S)).kind).toBe('stop');
  });

  it('do not count when the old key’s thief dates them back', () => {
    expect(() => verifyOrder(order(first, 2999, YEAR_S), expected(YEAR_S - 1))).toThrow('was replaced');
  });
});
