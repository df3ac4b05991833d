/**
 * Reads what an agent's record says about access and failure. It goes to the renter's page and terminal, so nothing
 * but plain host names, ports and user names is let in, and the fingerprint is worked out here from the host key.
 */
import { isIP } from 'node:net';
import { ERRORS, isAppError, type ErrorCode } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import type { WireAccess } from '@dc/shared/wire/contract';
import { sshCommand } from './contract-rules.ts';

// The last label begins with a letter: `127.1`, `0x7f000001` and `2130706433` are addresses in disguise.
const HOST_NAME = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const USER_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;
const DETAIL_MAX = 300;

/** The access that a `provisioned` record reports, or null where it cannot be used. */
export function readAccess(data: Record<string, unknown>): WireAccess | null {
  const { host, port, user, host_key } = (data['access'] ?? {}) as Record<string, unknown>;
  if (typeof host !== 'string' || !isHost(host)) return null;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) return null;
  if (typeof user !== 'string' || !USER_NAME.test(user) || typeof host_key !== 'string') return null;
  try {
    const key = parseSshPublicKey(host_key);
    return {
      host,
      port,
      user,
      ssh_command: sshCommand(host, port, user),
      host_key_fingerprint: key.fingerprint,
      host_key: key.line,
      web_url: null,
    };
  } catch (error) {
    if (isAppError(error, 'SSH_KEY_INVALID')) return null;
    throw error;
  }
}

/** An address without a zone, or a name in lower case. */
function isHost(host: string): boolean {
  return isIP(host) === 0 ? HOST_NAME.test(host) : !host.includes('%');
}

/** Why an agent could not deliver, in words that are fit for the renter. */
export interface Failure {
  code: string;
  detail: string;
  remedy: string;
}

/** The failure that a `failed` record reports. A code that we do not know becomes PROVISIONER_FAILED. */
export function readFailure(data: Record<string, unknown>): Failure {
  const { code: given, detail } = data;
  const code =
    typeof given === 'string' && Object.hasOwn(ERRORS, given) ? (given as ErrorCode) : 'PROVISIONER_FAILED';
  const words = typeof detail === 'string' ? plainWords(detail) : '';
  return {
    code,
    detail: words === '' ? ERRORS[code].title : words,
    remedy: 'You get all of your money back. Choose another offering, or try again.',
  };
}

/** One short line without control characters, and without those that turn the direction of the text around. */
function plainWords(text: string): string {
  const start = text.slice(0, 4 * DETAIL_MAX);
  return [...start.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()].slice(0, DETAIL_MAX).join('');
}
