/**
 * The seal that every object made at a backend carries (invariant I6): contract id, environment and a MAC that
 * only this provider's agents can make. No seal, no touch. The format is ours:
 * `dc1.<contract id>.<environment>.<base64url HMAC-SHA256 over "dc-seal-v1\n<contract id>\n<environment>">`.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { fromBase64Url } from './crypto/jws.ts';

/** What a valid seal says. */
export interface Seal {
  contractId: string;
  environment: string;
}

const PART = /^[A-Za-z0-9-]{1,64}$/;

/** Makes the seal text. `secret` is the provider's 32-byte seal secret. Throws on parts outside [A-Za-z0-9-]{1,64}. */
export function makeSeal(secret: Uint8Array, seal: Seal): string {
  if (!PART.test(seal.contractId) || !PART.test(seal.environment)) {
    throw new Error('a seal holds a contract id and an environment of letters, digits and hyphens');
  }
  return `dc1.${seal.contractId}.${seal.environment}.${mac(secret, seal).toString('base64url')}`;
}

/** Reads a seal; null when it is not one of this provider's, for whatever reason. Constant-time in the MAC. */
export function readSeal(secret: Uint8Array, text: string): Seal | null {
  const [version, contractId = '', environment = '', given = '', ...rest] = text.split('.');
  if (version !== 'dc1' || rest.length > 0 || !PART.test(contractId) || !PART.test(environment)) return null;
  const expected = mac(secret, { contractId, environment });
  const actual = fromBase64Url(given);
  if (actual?.length !== expected.length || !timingSafeEqual(actual, expected)) return null;
  return { contractId, environment };
}

function mac(secret: Uint8Array, seal: Seal): Buffer {
  return createHmac('sha256', secret).update(`dc-seal-v1\n${seal.contractId}\n${seal.environment}`).digest();
}
