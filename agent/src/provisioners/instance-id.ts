/**
 * Ids for drivers that may name their objects: the contract makes "is there one already?" a look-up, and the
 * token's hash tells two attempts for one contract apart.
 */
import { createHash } from 'node:crypto';

/** `<contract id>.<16 hex of the token's SHA-256>`: fit for a file name. */
export function instanceId(contractId: string, token: string): string {
  return `${contractId}.${tokenHash(token)}`;
}

/** True when the id was made for this contract, by whatever token. */
export function isOfContract(id: string, contractId: string): boolean {
  return id.startsWith(`${contractId}.`);
}

/** True when the id was made with this token, for whatever contract. */
export function isOfToken(id: string, token: string): boolean {
  return id.endsWith(`.${tokenHash(token)}`);
}

function tokenHash(token: string): string {
  return createHash('sha256').update(token).digest('hex').slice(0, 16);
}
