/** Who is calling, and the permissions that routes declare. */
import { AppError } from '@dc/shared/errors';
import type { AgentPermission } from '@dc/shared/delegation/delegation';

/** The caller of a request, as its signature or session proves it. */
export type Principal =
  | { kind: 'anonymous' }
  /** Signed by a key that belongs to nobody yet: it may only make an account or register an agent. */
  | { kind: 'key'; publicKey: string }
  | {
      kind: 'account';
      /** The account's name for ever: its first key. Contracts and offerings belong to this, not to a key. */
      account: string;
      /** The key that signed; null in a session. */
      publicKey: string | null;
      isProvider: boolean;
      isAdmin: boolean;
    }
  | {
      kind: 'agent';
      publicKey: string;
      provider: string;
      poolId: string;
      permissions: readonly AgentPermission[];
    };

export type AccountPrincipal = Extract<Principal, { kind: 'account' }>;
export type AgentPrincipal = Extract<Principal, { kind: 'agent' }>;

/**
 * Who may call a route. `public`: anyone. `key`: any valid signature, also by an unknown key. `account`, `provider`,
 * `admin`: an account, by signature or session. `agent:…`: an agent whose delegation lists the permission. Whether
 * the *object* is the caller's is for the handler.
 */
export type Permission = 'public' | 'key' | 'account' | 'provider' | 'admin' | `agent:${AgentPermission}`;

/** How a contract's history names an agent. */
export const agentName = (agent: AgentPrincipal): string => `agent:${agent.publicKey.slice(0, 16)}`;

/** The text that stands for a caller in idempotency, rate limits and logs. */
export function actorName(principal: Principal): string {
  switch (principal.kind) {
    case 'anonymous':
      return 'anonymous';
    case 'key':
      return `key:${principal.publicKey}`;
    case 'account':
      return `account:${principal.account}`;
    case 'agent':
      return `agent:${principal.publicKey}`;
  }
}

/** The account of a route that admits only accounts. */
export function accountOf(principal: Principal): AccountPrincipal {
  if (principal.kind !== 'account') throw new Error('the route admits only accounts');
  return principal;
}

/** The agent of a route that admits only agents. */
export function agentOf(principal: Principal): AgentPrincipal {
  if (principal.kind !== 'agent') throw new Error('the route admits only agents');
  return principal;
}

/** Throws PERMISSION_DENIED unless the caller is the provider of the path. */
export function assertOwnProvider(principal: Principal, pubkey: string): void {
  if (accountOf(principal).account !== pubkey)
    throw new AppError(
      'PERMISSION_DENIED',
      'A provider acts only for itself; this is the path of another one.',
    );
}
