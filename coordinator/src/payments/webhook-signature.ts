/**
 * The signature of webhooks, as Stripe and ICPay make it: `t=<seconds>,v1=<hex>` is an HMAC-SHA256 over `t.body`. Every
 * `v1` counts, and every secret that is configured, so that a secret can be exchanged without losing an event.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { AppError } from '@dc/shared/errors';

/** How far the signature's time may be from ours, either way. */
export const WEBHOOK_TOLERANCE_MS = 300_000;

/** A delivery to check. */
export interface SignedDelivery {
  /** The signature header; several of them count as none. */
  header: string | string[] | undefined;
  body: Uint8Array;
  now: number;
}

/** Throws WEBHOOK_SIGNATURE_INVALID unless `header` signs `body` with one of `secrets`, within the window of time. */
export function assertTimedSignature(
  { header, body, now }: SignedDelivery,
  secrets: readonly string[],
): void {
  const fields = typeof header === 'string' ? header.split(',').map(readField) : [];
  const times = fields.filter(([name]) => name === 't').map(([, value]) => value);
  const given = fields.filter(([name]) => name === 'v1').map(([, value]) => value);
  const [time = ''] = times;
  if (times.length !== 1 || !/^[0-9]{1,12}$/.test(time) || given.length === 0)
    throw invalid('The signature header is missing or cannot be read.');
  // The signature first: what its time says is not believed before.
  const isSigned = secrets.some((secret) => {
    const expected = createHmac('sha256', secret).update(`${time}.`).update(body).digest();
    return given.some((hex) => isSame(hex, expected));
  });
  if (!isSigned) throw invalid('The signature is not one of ours over this body.');
  if (Math.abs(now - Number(time) * 1000) > WEBHOOK_TOLERANCE_MS)
    throw invalid('The signature is too old, or from the future.');
}

/** The same for a bare HMAC-SHA256 over the body, in hex. It has no time: replays are refused by the event's id alone. */
export function assertBareSignature({ header, body }: SignedDelivery, secrets: readonly string[]): void {
  const hex = typeof header === 'string' ? header.trim() : '';
  const isSigned = secrets.some((secret) => isSame(hex, createHmac('sha256', secret).update(body).digest()));
  if (!isSigned) throw invalid('The signature is not one of ours over this body.');
}

function readField(text: string): [name: string, value: string] {
  const at = text.indexOf('=');
  return at === -1 ? ['', text] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

/** Compares in constant time. */
function isSame(hex: string, expected: Buffer): boolean {
  if (!/^[0-9a-f]{64}$/i.test(hex)) return false;
  return timingSafeEqual(Buffer.from(hex, 'hex'), expected);
}

function invalid(detail: string): AppError {
  return new AppError('WEBHOOK_SIGNATURE_INVALID', detail);
}
