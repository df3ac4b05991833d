/**
 * The setup token that a provider pastes on a new agent's machine:
 * `dcs_` and the base64url of 1 version byte, the 32-byte seed of a one-time key, the provider's 32-byte seal secret,
 * the provider's public key and a 4-byte SHA-256 checksum. Whoever holds it can register one agent until its grant is
 * used or expires. The provider's key lets the agent check the grant, and with it the coordinator's key.
 */
import { createHash } from 'node:crypto';
import { SigningKey } from '../crypto/ed25519.ts';
import { fromBase64Url } from '../crypto/jws.ts';
import { AppError } from '../errors.ts';
import { fromHex } from '../ids.ts';

const PREFIX = 'dcs_';
const VERSION = 1;

/** What a setup token holds. */
export interface SetupToken {
  setupKey: SigningKey;
  sealSecret: Uint8Array;
  /** In lower-case hex. */
  providerKey: string;
}

const BODY_BYTES = 1 + 3 * 32;

/** Writes a token from its two 32-byte secrets and the provider's public key in hex. */
export function formatSetupToken(seed: Uint8Array, sealSecret: Uint8Array, providerKey: string): string {
  if (seed.length !== 32 || sealSecret.length !== 32)
    throw new Error('a setup token holds two secrets of 32 bytes');
  const body = Buffer.concat([Buffer.from([VERSION]), seed, sealSecret, fromHex(providerKey)]);
  return PREFIX + Buffer.concat([body, checksum(body)]).toString('base64url');
}

/** Reads a token. Throws SETUP_TOKEN_INVALID, without repeating any of it. */
export function parseSetupToken(text: string): SetupToken {
  const trimmed = text.trim();
  const bytes = trimmed.startsWith(PREFIX) ? fromBase64Url(trimmed.slice(PREFIX.length)) : null;
  if (bytes?.length !== BODY_BYTES + 4)
    throw new AppError('SETUP_TOKEN_INVALID', 'The setup token is cut off or has a wrong form.');
  const body = bytes.subarray(0, BODY_BYTES);
  if (!checksum(body).equals(bytes.subarray(BODY_BYTES)))
    throw new AppError('SETUP_TOKEN_INVALID', 'The setup token has a typing error.');
  if (body[0] !== VERSION) throw new AppError('SETUP_TOKEN_INVALID', 'The setup token is for a newer agent.');
  return {
    setupKey: SigningKey.fromSeed(body.subarray(1, 33)),
    sealSecret: new Uint8Array(body.subarray(33, 65)),
    providerKey: body.subarray(65, 97).toString('hex'),
  };
}

/**
 * The seal secret of a provider: the SHA-256 of its key's deterministic signature over a fixed text, so that all of a
 * provider's agents share it and nobody else can make it.
 */
export function deriveSealSecret(providerKey: SigningKey): Uint8Array {
  return createHash('sha256')
    .update(providerKey.sign(Buffer.from('dc-seal-secret-v1')))
    .digest();
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, 4);
}
