/** What renters' own ssh-keygen makes today, we read as it does. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'dc-ssh-keys-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function makeKey(type: string, bits: string): { line: string; fingerprint: string } {
  const file = path.join(folder, `${type}-${bits}`);
  execFileSync('ssh-keygen', ['-q', '-N', '', '-t', type, '-b', bits, '-C', 'me@laptop', '-f', file]);
  const [, fingerprint = ''] = execFileSync('ssh-keygen', ['-l', '-f', `${file}.pub`], {
    encoding: 'utf8',
  }).split(' ');
  return { line: readFileSync(`${file}.pub`, 'utf8'), fingerprint };
}

describe('ssh-keygen of this machine', () => {
  it.each([
    ['ed25519', '256'],
    ['ecdsa', '256'],
    ['ecdsa', '384'],
    ['ecdsa', '521'],
    ['rsa', '2048'],
    ['rsa', '3072'],
  ])('makes a key of %s, %s bits, that we take and name as it does', (type, bits) => {
    const { line, fingerprint } = makeKey(type, bits);
    expect(parseSshPublicKey(line).fingerprint).toBe(fingerprint);
  });

  it('makes a short RSA key that we refuse', () => {
    const { line } = makeKey('rsa', '1024');
    expect(() => parseSshPublicKey(line)).toThrow('has 1024 bits; 2048 are the least');
  });

  it('makes a private key that we refuse to be handed', () => {
    makeKey('ed25519', '255');
    const privateKey = readFileSync(path.join(folder, 'ed25519-255'), 'utf8');
    expect(() => parseSshPublicKey(privateKey)).toThrow('this is a private key');
  });
});
