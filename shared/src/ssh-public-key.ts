/** Reads and judges OpenSSH public keys in `authorized_keys` form (RFC 4253 section 6.6, RFC 5656, RFC 8709). */
import { createHash, ECDH } from 'node:crypto';
import { isSmallOrder } from './crypto/public-key.ts';
import { AppError } from './errors.ts';

/** A usable SSH public key. */
export interface SshPublicKey {
  type: string;
  /** `type base64`, without the comment: the form that is kept and handed on. */
  line: string;
  /** As `ssh-keygen -l` prints it: `SHA256:` and unpadded base64. */
  fingerprint: string;
}

const RSA_BITS_MIN = 2048; // Shorter moduli are refused by OpenSSH's own RequiredRSASize since 9.1 (default 1024), and by NIST since 2014.
const RSA_BITS_MAX = 16_384;
const CURVES: Readonly<Record<string, { name: string; opensslName: string; pointBytes: number }>> = {
  'ecdsa-sha2-nistp256': { name: 'nistp256', opensslName: 'prime256v1', pointBytes: 65 },
  'ecdsa-sha2-nistp384': { name: 'nistp384', opensslName: 'secp384r1', pointBytes: 97 },
  'ecdsa-sha2-nistp521': { name: 'nistp521', opensslName: 'secp521r1', pointBytes: 133 },
};

/** Reads one public key line. Throws SSH_KEY_INVALID saying what is wrong; a pasted private key is named as such. */
export function parseSshPublicKey(text: string): SshPublicKey {
  const trimmed = text.trim();
  if (/PRIVATE KEY|PuTTY-User-Key-File/.test(trimmed)) {
    throw refused(
      'this is a private key; never paste it anywhere',
      'Paste the public key: the file that ends in .pub.',
    );
  }
  // eslint-disable-next-line no-control-regex -- control characters in a key line are exactly what is looked for.
  if (trimmed.length > 8192 || /[\u0000-\u001f\u007f]/.test(trimmed))
    throw refused('it must be one line of at most 8,192 characters');
  const [type = '', base64 = ''] = trimmed.split(/ +/);
  const blob = Buffer.from(base64, 'base64');
  if (base64 === '' || blob.toString('base64').replace(/=+$/, '') !== base64.replace(/=+$/, '')) {
    throw refused('it must read "type base64 comment"');
  }
  const fields = readFields(blob);
  if (fields?.[0]?.toString('latin1') !== type) throw refused('its type and its contents differ');
  checkStrength(type, fields);
  return { type, line: `${type} ${blob.toString('base64')}`, fingerprint: fingerprintOf(blob) };
}

/** The fingerprint of a public key blob, as `ssh` shows it. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

function checkStrength(type: string, fields: readonly Buffer[]): void {
  if (type === 'ssh-ed25519') checkEd25519(fields);
  else if (type === 'ssh-rsa') checkRsa(fields);
  else if (Object.hasOwn(CURVES, type)) checkEcdsa(type, fields);
  else throw refused(`the type ${JSON.stringify(type.slice(0, 40))} is not taken`);
}

function checkEd25519([, point, ...others]: readonly Buffer[]): void {
  if (point?.length !== 32 || others.length > 0) throw refused('the Ed25519 key must have 32 bytes');
  // With a point of small order anybody could log in. Bytes that are no point let nobody in, as OpenSSH has it too.
  if (isSmallOrder(point)) throw refused('the Ed25519 key has a small order: anybody could log in');
}

function checkRsa([, exponent, modulus, ...others]: readonly Buffer[]): void {
  if (exponent === undefined || modulus === undefined || others.length > 0)
    throw refused('the RSA key is incomplete');
  // An mpint whose first bit is set is a negative number.
  if ([exponent, modulus].some((integer) => ((integer[0] ?? 0) & 0x80) !== 0))
    throw refused('the RSA key holds a negative number');
  const bits = bitLength(modulus);
  if (bits < RSA_BITS_MIN)
    throw refused(`the RSA key has ${String(bits)} bits; ${String(RSA_BITS_MIN)} are the least`);
  if (bits > RSA_BITS_MAX) throw refused(`the RSA key has more than ${String(RSA_BITS_MAX)} bits`);
  if (!isOdd(modulus)) throw refused('the RSA modulus is even');
  if (bitLength(exponent) < 2 || !isOdd(exponent)) throw refused('the RSA exponent is weak');
}

function checkEcdsa(type: string, [, name, point, ...others]: readonly Buffer[]): void {
  const curve = CURVES[type];
  const isOnCurve =
    name?.toString('latin1') === curve?.name &&
    point?.length === curve?.pointBytes &&
    point?.[0] === 4 && // Uncompressed: the only form that RFC 5656 asks everybody to read.
    others.length === 0 &&
    isPointOf(curve?.opensslName ?? '', point);
  if (!isOnCurve) throw refused('the ECDSA key does not lie on its curve');
}

function isPointOf(opensslName: string, point: Buffer): boolean {
  try {
    ECDH.convertKey(point, opensslName);
    return true;
  } catch {
    return false; // OpenSSL throws for a point that does not solve the curve's equation: the answer we look for.
  }
}

const isOdd = (integer: Buffer): boolean => ((integer.at(-1) ?? 0) & 1) === 1;

/** The length-prefixed fields of a blob; null where the lengths do not add up. */
function readFields(blob: Buffer): Buffer[] | null {
  const fields: Buffer[] = [];
  let offset = 0;
  while (offset < blob.length) {
    if (offset + 4 > blob.length) return null;
    const length = blob.readUInt32BE(offset);
    offset += 4;
    if (offset + length > blob.length) return null;
    fields.push(blob.subarray(offset, offset + length));
    offset += length;
  }
  return fields;
}

function bitLength(integer: Buffer): number {
  const first = integer.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : (integer.length - first - 1) * 8 + (32 - Math.clz32(integer[first] ?? 0));
}

function refused(why: string, remedy?: string): AppError {
  return new AppError('SSH_KEY_INVALID', `The SSH key was refused: ${why}.`, {
    fields: [{ pointer: '/ssh_public_key', detail: why }],
    ...(remedy === undefined ? {} : { remedy }),
  });
}
