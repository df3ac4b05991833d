import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sshKeyProblem } from './check-ssh-key.ts';
import { newOpensshKey } from './openssh-key.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'dc-openssh-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const random = { bytes: (count: number) => randomBytes(count) };
const keygen = (...args: string[]) => execFileSync('ssh-keygen', args, { encoding: 'utf8' });

/** A public key made by the real ssh-keygen, as its .pub file has it. */
function madeByKeygen(name: string, ...args: string[]): string {
  const file = path.join(folder, name);
  keygen('-q', '-N', '', '-C', 'me@home', '-f', file, ...args);
  return readFileSync(`${file}.pub`, 'utf8').trim();
}

describe('a key pair made in the browser', () => {
  it('is read by the real ssh-keygen, which finds the same public key in it', async () => {
    for (const comment of ['dc', 'dc_ed25519', 'a longer comment', '']) {
      const pair = await newOpensshKey(random, comment);
      const file = path.join(folder, `made-${comment.length}`);
      writeFileSync(file, pair.privateFile, { mode: 0o600 });
      expect(keygen('-y', '-f', file).trim()).toBe(pair.publicLine.trim());
      const { line, fingerprint } = parseSshPublicKey(pair.publicLine);
      expect(pair.publicLine.startsWith(line)).toBe(true);
      expect(keygen('-l', '-f', file)).toContain(fingerprint);
      expect(sshKeyProblem(pair.publicLine)).toBeNull();
    }
  });

  it('signs, and the signature verifies', async () => {
    const pair = await newOpensshKey(random, 'signer');
    const file = path.join(folder, 'signer');
    writeFileSync(file, pair.privateFile, { mode: 0o600 });
    const message = path.join(folder, 'message');
    writeFileSync(message, 'hello');
    keygen('-q', '-Y', 'sign', '-f', file, '-n', 'test', message);
    const allowed = path.join(folder, 'allowed');
    writeFileSync(allowed, `me ${pair.publicLine}\n`);
    const verified = execFileSync(
      'ssh-keygen',
      ['-Y', 'verify', '-f', allowed, '-I', 'me', '-n', 'test', '-s', `${message}.sig`],
      { input: 'hello', encoding: 'utf8' },
    );
    expect(verified).toContain('Good "test" signature');
  });
});

describe('a pasted SSH key', () => {
  it('passes exactly when the coordinator takes it', () => {
    const good = [
      madeByKeygen('ed25519', '-t', 'ed25519'),
      madeByKeygen('ecdsa256', '-t', 'ecdsa', '-b', '256'),
      madeByKeygen('ecdsa521', '-t', 'ecdsa', '-b', '521'),
      madeByKeygen('rsa2048', '-t', 'rsa', '-b', '2048'),
    ];
    const [ed25519 = ''] = good;
    const bad = [
      madeByKeygen('rsa1024', '-t', 'rsa', '-b', '1024'),
      '',
      'hello',
      'ssh-dss AAAA',
      ed25519.replace('ssh-ed25519', 'ssh-rsa'),
      ed25519.slice(0, 40),
      `${ed25519}\n${ed25519}`,
      ed25519.slice(12),
      'x'.repeat(9000),
    ];
    for (const line of [...good, ...good.map((text) => `  ${text}\n`)]) {
      expect(sshKeyProblem(line)).toBeNull();
      expect(() => parseSshPublicKey(line)).not.toThrow();
    }
    for (const line of bad) {
      expect(sshKeyProblem(line), line).toMatchObject({ isPrivate: false });
      expect(() => parseSshPublicKey(line)).toThrow();
    }
  });

  it('is recognised as private whatever its format', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const files = [
      (await newOpensshKey(random, 'x')).privateFile,
      privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none',
    ];
    for (const file of files) expect(sshKeyProblem(file)).toMatchObject({ isPrivate: true });
  });
});
