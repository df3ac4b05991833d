/** What a call of the simulated API is: its path, its parameters, who may, and what it does. */
import type { Cluster } from '../cluster/cluster.ts';
import type { ParameterSpec, ParameterTable, Parameters } from './parameters.ts';

/** Who may make a call, as the vendor's own description writes it. */
export type Permission =
  /** Also without logging in. */
  | { readonly user: 'world' }
  /** Everybody who is logged in; `also` says what the handler looks at, and what happens without it. */
  | { readonly user: 'all'; readonly also?: string }
  | {
      readonly path: string;
      readonly privileges: readonly string[];
      readonly any?: boolean;
      readonly also?: string;
    }
  | { readonly and: readonly Permission[]; readonly also?: string }
  | { readonly or: readonly Permission[] };

/** One call being answered. */
export interface Call {
  readonly cluster: Cluster;
  /** `user@realm` or `user@realm!token`. */
  readonly authId: string;
  readonly params: Parameters;
}

/** One call that there is. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `{name}` for what varies. */
  readonly path: string;
  readonly parameters: ParameterTable;
  readonly permission: Permission | ((major: number) => Permission);
  /** Whether it needs a cluster that can decide. Default: all but GET. */
  readonly needsQuorum?: boolean;
  /** The first version that has it. */
  readonly since?: 7 | 8 | 9;
  readonly handle: (call: Call) => unknown;
}

/** A privilege at a path. */
export function perm(path: string, ...privileges: readonly string[]): Permission {
  return { path, privileges };
}

/** One of several privileges at a path. */
export function permAny(path: string, ...privileges: readonly string[]): Permission {
  return { path, privileges, any: true };
}

/** The same parameter, not needed. */
export function opt(spec: ParameterSpec): ParameterSpec {
  return { ...spec, optional: true };
}

/** Parameters that many calls have. */
export const NODE: ParameterSpec = {
  type: 'string',
  pattern: /^[a-zA-Z0-9](?:[a-zA-Z0-9-.]{0,61}[a-zA-Z0-9])?$/,
  format: 'value does not look like a valid node name',
};
export const VMID: ParameterSpec = { type: 'integer', minimum: 100, maximum: 999_999_999 };
export const TEXT: ParameterSpec = { type: 'string' };
export const FLAG: ParameterSpec = { type: 'boolean', optional: true };
export const STORAGE: ParameterSpec = {
  type: 'string',
  pattern: /^[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]$/,
  format: 'storage ID contains illegal characters',
};
export const DNS_NAME: ParameterSpec = {
  type: 'string',
  pattern:
    /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)*[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/,
  format: 'value does not look like a valid DNS name',
};
export const POOL: ParameterSpec = {
  type: 'string',
  pattern: /^[A-Za-z0-9.\-_/]+$/,
  format: 'value does not look like a valid pool name',
};
