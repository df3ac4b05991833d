/**
 * Password hashes as `crypt` writes them: SHA-256 (`$5$`) and SHA-512 (`$6$`) after Ulrich Drepper's description.
 * Proxmox VE keeps cloud-init passwords so, and guests check logins against them.
 */
import { createHash } from 'node:crypto';

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ROUNDS = 5_000; // The default of the scheme.

/** Which bytes of the digest each four characters are made of; -1 stands for no byte. */
const ORDER_256: readonly (readonly [number, number, number])[] = [
  ...[0, 21, 12, 3, 24, 15, 6, 27, 18, 9].map((first): [number, number, number] => [
    first,
    (first + 10) % 30,
    (first + 20) % 30,
  ]),
  [-1, 31, 30],
];
const ORDER_512: readonly (readonly [number, number, number])[] = [
  ...Array.from({ length: 21 }, (_, step): [number, number, number] => {
    const triple = [step, step + 21, step + 42];
    const turn = step % 3;
    return [triple[turn] ?? 0, triple[(turn + 1) % 3] ?? 0, triple[(turn + 2) % 3] ?? 0];
  }),
  [-1, -1, 63],
];

/** Hashes a password as `$5$salt$…`. The salt has up to 16 characters of `./0-9A-Za-z`. */
export function cryptSha256(password: string, salt: string): string {
  return `$5$${salt}$${digest('sha256', password, salt, ROUNDS)}`;
}

/** Whether a password fits a hash of either kind. Other kinds fit nothing. */
export function verifyCrypt(password: string, hash: string): boolean {
  const match = /^\$([56])\$(?:rounds=(\d+)\$)?([^$]{0,16})\$(.+)$/.exec(hash);
  if (match === null) return false;
  const [, kind, rounds, salt = '', expected] = match;
  return (
    digest(
      kind === '5' ? 'sha256' : 'sha512',
      password,
      salt,
      rounds === undefined ? ROUNDS : Number(rounds),
    ) === expected
  );
}

function digest(algorithm: 'sha256' | 'sha512', password: string, salt: string, rounds: number): string {
  const key = Buffer.from(password);
  const pepper = Buffer.from(salt);
  const hash = (...parts: readonly Uint8Array[]): Buffer =>
    createHash(algorithm).update(Buffer.concat(parts)).digest();
  const second = hash(key, pepper, key);
  const bits: Buffer[] = [];
  for (let left = key.length; left > 0; left >>= 1) bits.push((left & 1) === 1 ? second : key);
  let current = hash(key, pepper, stretch(second, key.length), ...bits);
  const p = stretch(hash(...Array.from({ length: key.length }, () => key)), key.length);
  const s = stretch(hash(...Array.from({ length: 16 + (current[0] ?? 0) }, () => pepper)), pepper.length);
  for (let round = 0; round < rounds; round++) {
    const odd = round % 2 === 1;
    const parts = [odd ? p : current];
    if (round % 3 !== 0) parts.push(s);
    if (round % 7 !== 0) parts.push(p);
    parts.push(odd ? current : p);
    current = hash(...parts);
  }
  return encode(current, algorithm === 'sha256' ? ORDER_256 : ORDER_512);
}

function stretch(bytes: Buffer, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => bytes[index % bytes.length] ?? 0));
}

function encode(bytes: Buffer, order: readonly (readonly [number, number, number])[]): string {
  let text = '';
  for (const [high, middle, low] of order) {
    let value = (at(bytes, high) << 16) | (at(bytes, middle) << 8) | at(bytes, low);
    const characters = high >= 0 ? 4 : middle >= 0 ? 3 : 2;
    for (let index = 0; index < characters; index++) {
      text += ALPHABET.charAt(value & 0x3f);
      value >>= 6;
    }
  }
  return text;
}

function at(bytes: Buffer, index: number): number {
  return index < 0 ? 0 : (bytes[index] ?? 0);
}
