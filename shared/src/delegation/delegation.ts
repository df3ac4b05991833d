/**
 * How a provider's key lends an agent's key its permissions, checkable offline by anyone:
 * the provider signs a **grant** for the one-time key inside a setup token (permissions, pool, expiries); on the
 * agent's machine that key signs a **delegation** for the agent's key. The token itself never leaves the machine, so
 * neither the coordinator nor its database can make an agent.
 */
import type { SigningKey } from '../crypto/ed25519.ts';
import { hashJws, parseJws, signJws, verifyJws } from '../crypto/jws.ts';
import { AppError } from '../errors.ts';

export const GRANT_TYP = 'dc-grant';
export const DELEGATION_TYP = 'dc-delegation';

export const AGENT_PERMISSIONS = [
  'provision',
  'health_check',
  'heartbeat',
  'fetch_contracts',
  'dns_manage',
] as const;
export type AgentPermission = (typeof AGENT_PERMISSIONS)[number];

/** The payload of a grant. Times in seconds since the Unix epoch. */
export interface GrantPayload {
  /** The provider's public key, which signs. */
  iss: string;
  /** The public key of the setup token. */
  sub: string;
  /** The coordinator that the agent is for; the agent pins this key, so that nobody can put another in its place. */
  coordinator_key: string;
  pool_id: string;
  permissions: AgentPermission[];
  iat: number;
  /** Until when the setup token may be used. */
  exp: number;
  /** Until when the agent's key may act; null for no end. */
  delegation_exp: number | null;
}

/** What a verified delegation says. */
export interface Delegation {
  agentKey: string;
  providerKey: string;
  coordinatorKey: string;
  poolId: string;
  permissions: AgentPermission[];
  grantHash: string;
  tokenExpiresAt: number;
  /** Milliseconds; null for no end. */
  expiresAt: number | null;
}

/** Signs a grant with the provider's key. */
export function signGrant(payload: GrantPayload, providerKey: SigningKey): string {
  return signJws(GRANT_TYP, payload, providerKey);
}

/** Signs a delegation for `agentKey` with the key of the setup token. */
export function signDelegation(grant: string, agentKey: string, iatS: number, setupKey: SigningKey): string {
  return signJws(
    DELEGATION_TYP,
    { iss: setupKey.publicKey, sub: agentKey, grant: hashJws(grant), iat: iatS },
    setupKey,
  );
}

/** Reads and verifies a grant. Throws GRANT_INVALID. */
export function verifyGrant(compact: string): GrantPayload {
  const jws = parseJws(compact);
  if (jws === null || !verifyJws(jws, GRANT_TYP)) throw invalid('the grant has no valid signature');
  const grant = jws.payload as Partial<GrantPayload> | null;
  if (grant === null || grant.iss !== jws.kid) throw invalid('the grant is not signed by its issuer');
  const { sub, coordinator_key, pool_id, permissions, iat, exp, delegation_exp } = grant;
  const complete =
    typeof sub === 'string' &&
    /^[0-9a-f]{64}$/.test(sub) &&
    typeof coordinator_key === 'string' &&
    typeof pool_id === 'string' &&
    Array.isArray(permissions) &&
    permissions.every((name) => (AGENT_PERMISSIONS as readonly string[]).includes(name)) &&
    Number.isSafeInteger(iat) &&
    Number.isSafeInteger(exp) &&
    (delegation_exp === null || Number.isSafeInteger(delegation_exp));
  if (!complete) throw invalid('a member of the grant is missing or of the wrong type');
  return grant as GrantPayload;
}

/** Verifies a grant and the delegation under it, without looking at the time. Throws GRANT_INVALID. */
export function verifyDelegation(grantCompact: string, delegationCompact: string): Delegation {
  const grant = verifyGrant(grantCompact);
  const jws = parseJws(delegationCompact);
  if (jws === null || !verifyJws(jws, DELEGATION_TYP)) throw invalid('the delegation has no valid signature');
  if (jws.kid !== grant.sub) throw invalid('the delegation is not signed by the setup token of the grant');
  const { iss, sub, grant: grantHash } = (jws.payload ?? {}) as Record<string, unknown>;
  if (
    iss !== jws.kid ||
    typeof sub !== 'string' ||
    !/^[0-9a-f]{64}$/.test(sub) ||
    grantHash !== hashJws(grantCompact)
  ) {
    throw invalid('the delegation does not belong to the grant');
  }
  return {
    agentKey: sub,
    providerKey: grant.iss,
    coordinatorKey: grant.coordinator_key,
    poolId: grant.pool_id,
    permissions: grant.permissions,
    grantHash,
    tokenExpiresAt: grant.exp * 1000,
    expiresAt: grant.delegation_exp === null ? null : grant.delegation_exp * 1000,
  };
}

function invalid(why: string): AppError {
  return new AppError('GRANT_INVALID', `Refused: ${why}.`);
}
