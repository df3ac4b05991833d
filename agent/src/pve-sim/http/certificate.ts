/**
 * Makes self-signed X.509 certificates (P-256, SHA-256) without a program from outside: enough of DER to write the
 * few fields that a TLS server's certificate needs.
 */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { Random } from '@dc/shared/random';

const VALID_BEFORE_MS = 24 * 3600 * 1000; // So that a client whose clock is behind takes it too.
const VALID_AFTER_MS = 2 * 365 * 24 * 3600 * 1000; // As long as the certificates that Proxmox VE makes.

/** A certificate with its key, as a TLS server takes them. */
export interface Certificate {
  readonly keyPem: string;
  readonly certPem: string;
  /** SHA-256 of the certificate as Proxmox VE shows it: upper-case hex pairs with colons. */
  readonly fingerprint: string;
}

/** Makes a new key and a certificate for `names` (DNS names and IPv4 addresses), valid around `nowMs`. */
export function makeCertificate(names: readonly string[], nowMs: number, random: Random): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(oid([1, 2, 840, 10045, 4, 3, 2]));
  const subject = name(names[0] ?? 'localhost');
  const serial = Buffer.from(random.bytes(16));
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x01; // Positive, and no needless leading zero.
  const body = sequence(
    tagged(0, integer(Buffer.from([2]))), // Version 3.
    integer(serial),
    ecdsaWithSha256,
    subject,
    sequence(time(nowMs - VALID_BEFORE_MS), time(nowMs + VALID_AFTER_MS)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(alternativeNames(names), isAuthority())),
  );
  const certificate = sequence(body, ecdsaWithSha256, bitString(signBody(body, privateKey)));
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    certPem: pem(certificate),
    fingerprint: fingerprintOf(certificate),
  };
}

function signBody(body: Buffer, key: KeyObject): Buffer {
  return sign('sha256', body, key);
}

function fingerprintOf(der: Buffer): string {
  const hex = createHash('sha256').update(der).digest('hex').toUpperCase();
  return (hex.match(/../g) ?? []).join(':');
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function alternativeNames(names: readonly string[]): Buffer {
  const entries = names.map((entry) =>
    isIPv4(entry) ? der(0x87, Buffer.from(entry.split('.').map(Number))) : der(0x82, Buffer.from(entry)),
  );
  return extension([2, 5, 29, 17], sequence(...entries));
}

/** Self-signed: a client that pins it by `ca` wants it to be an authority. */
function isAuthority(): Buffer {
  return extension([2, 5, 29, 19], sequence(der(0x01, Buffer.from([0xff]))));
}

function extension(id: readonly number[], value: Buffer): Buffer {
  return sequence(oid(id), der(0x04, value));
}

function name(common: string): Buffer {
  return sequence(der(0x31, sequence(oid([2, 5, 4, 3]), der(0x0c, Buffer.from(common)))));
}

function time(ms: number): Buffer {
  const text = `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`;
  return der(0x17, Buffer.from(text)); // UTCTime: until 2049.
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function tagged(number: number, content: Buffer): Buffer {
  return der(0xa0 | number, content);
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes);
}

function bitString(bytes: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

function oid(numbers: readonly number[]): Buffer {
  const [first = 0, second = 0, ...rest] = numbers;
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let rest = value >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 0x7f) | 0x80);
  return digits;
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>= 8) bytes.unshift(rest & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), content]);
}
