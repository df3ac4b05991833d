/** Opens the way to a cluster from the options: the token from its file, the certificates that are trusted now. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { ProxmoxOptions } from './proxmox-options.ts';
import { PveClient } from './pve-client.ts';

/** The client. Nothing is sent yet. */
export function openClient(options: ProxmoxOptions, clock: Clock): PveClient {
  return new PveClient({
    url: options.url,
    token: () => readToken(options.token_file),
    pins: () => pinsOf(options),
    clock,
  });
}

/** The token. Throws KEY_FILE_INVALID, or KEY_FILE_UNSAFE for a file that others may read too. */
export function readToken(path: string): string {
  let text: string;
  let mode: number;
  try {
    text = readFileSync(path, 'utf8').trim();
    ({ mode } = statSync(path));
  } catch (error) {
    throw new AppError('KEY_FILE_INVALID', `The token file ${path} cannot be read.`, { cause: error });
  }
  if ((mode & 0o077) !== 0)
    throw new AppError('KEY_FILE_UNSAFE', `The token file ${path} can be read by others.`, {
      remedy: `Run: chmod 600 ${path}`,
    });
  if (!/^[^\s@!=]+@[^\s@!=]+![^\s@!=]+=[\x21-\x7e]+$/.test(text))
    throw new AppError(
      'KEY_FILE_INVALID',
      `The token file ${path} does not hold a token: user@realm!name=secret.`,
    );
  return text;
}

/** The certificates that are trusted now. The file is read each time: it is replaced when Proxmox renews it. */
function pinsOf({ fingerprint, certificate_file: path }: ProxmoxOptions): string[] {
  const pins = fingerprint === undefined ? [] : [fingerprint];
  if (path !== undefined) {
    try {
      pins.push(new X509Certificate(readFileSync(path)).fingerprint256);
    } catch (error) {
      throw new AppError('CONFIG_INVALID', `The certificate ${path} cannot be read.`, { cause: error });
    }
  }
  return pins;
}
