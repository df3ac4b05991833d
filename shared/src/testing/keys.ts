/** Keys, time and randomness that every run of the tests of `shared` makes again. */
import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { SigningKey } from '../crypto/ed25519.ts';
import { isAppError } from '../errors.ts';
import type { Random } from '../random.ts';

/** The same key for the same name. */
export const aKey = (name: string): SigningKey =>
  SigningKey.fromSeed(createHash('sha256').update(`test key ${name}`).digest());

/** A clock that stands at `nowMs` and fires no timers. */
export const clockAt = (nowMs: number): Clock => ({
  now: () => nowMs,
  monotonic: () => nowMs,
  schedule: () => () => undefined,
});

/** Bytes that differ with every call, and are the same in every run. */
export function countingRandom(): Random {
  let calls = 0;
  return {
    bytes: (count) => {
      calls += 1;
      const block = createHash('sha256').update(`random ${calls}`).digest();
      return new Uint8Array(Buffer.concat(Array.from({ length: Math.ceil(count / 32) }, () => block))).slice(
        0,
        count,
      );
    },
  };
}

/** The code and the message that `action` throws; `['none', '']` where it throws nothing. */
export function failureOf(action: () => unknown): [code: string, message: string] {
  try {
    action();
  } catch (error) {
    const { message } = error as Error;
    return [isAppError(error) ? error.code : (error as Error).name, message];
  }
  return ['none', ''];
}

/** The code that `action` throws; `none` where it throws nothing. */
export const codeOf = (action: () => unknown): string => failureOf(action)[0];

/** `text` with one bit of the byte at `index` changed. Latin-1, so that it works on any text of single bytes. */
export function flipBit(text: string, index: number, bit: number): string {
  const flipped = String.fromCharCode(text.charCodeAt(index) ^ (1 << bit));
  return text.slice(0, index) + flipped + text.slice(index + 1);
}
