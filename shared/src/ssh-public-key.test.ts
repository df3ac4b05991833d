/** The keys below were made by ssh-keygen of OpenSSH 9.2; e2e/ssh-public-key.test.ts makes new ones in every run. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AppError } from './errors.ts';
import { parseSshPublicKey } from './ssh-public-key.ts';
import { failureOf } from './testing/keys.ts';

const ED25519 = 'AAAAC3NzaC1lZDI1NTE5AAAAIKOWTAUa+S90RzxRWPlPELcMnzugnQuLyEClVDEfpHzV';
const ECDSA_256 =
  'AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBPzAa1yE0EwzO0+ccnXJBooPWmijwTjexplitRezCv+FiQECny9x5XwG802mIy1coo1PZz0bJJL+TAgG7EEppQM=';
const ECDSA_384 =
  'AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBBBiD9oVZ5UYA6cpZTAIspYV3g13dA6Qx92w0ZrrGh42f+E9/zTIkYcp4sd7t6Tk9ARYsrhK3PoojEg6D7dOD362oJKZ3VHFg4kbGcnvXN1BCzz6wGJleJCESoaLi/mWpw==';
const ECDSA_521 =
  'AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAHHGTo/brseUShAuaQHF52ELc9A5YVCVvCz1ndHG1SbnzAPOeqbTq7OVsm6nK41jDB2iZuSseO2Ez9XpTRpKRgj4wD8ooAZ/s9YaXDCbxCO5d9ZrwHWg6o/GJ4uvKnGl68C52Zw0fydnP4MWJu0Le9S+QHJ88+nlpnkLSJxXkHgrX2hDA==';
const RSA_1024 =
  'AAAAB3NzaC1yc2EAAAADAQABAAAAgQC9riclWy8IrdbNUM19Qde7fkpFX8bqOnRegTQ2LX4SLT/oZcFDnUxfq0QfUcA0ym97pGioUEjgD3YFmk+E5QT/vCy0I1LsYej7JOgVDCNXUQsoYiWFWshCkwu11yJDzVJLzLhuR0iITlVjEWYTHa7Pq/+zWGHVHb2yowVgkN4t1w==';
const RSA_2047 =
  'AAAAB3NzaC1yc2EAAAADAQABAAABAFNMuNuBzs2Diq9skjNpZZjiiVXdvsVDBAvNd/8xqC15ri5hv3yOyXztIRZQmuKtmhoOidw4d0Xn6lcUq3d1wZYCNrUD46zLzpjsxpHdfAhxqB8PnoLLzYigL3Nnk+q6vKykRsps5sT8pa1cndszjVRQJ73brW49SZ1JVQpfF9EZBKVIKdrsXxbjPju/HdHddFq3QWFzYIIbodYX6VApZU6q7ldHyPpM5xoLV/mv29urFGaOrQwFOV1tm7NL8R1PF98cfjM+R2g7M+QW71l361R4wOxx7NSz8RSwXNVqRR/u6hnb01NiPdwLNyB4VVmA0iwvpQKRDEbgNQYYWsuDwTc=';
const RSA_2048 =
  'AAAAB3NzaC1yc2EAAAADAQABAAABAQCubjg1ipEnobX9vwj9E3KaQEp3Z0woApEaiD9SJb85F4UW0vkiOOt0q+QYhF5+yVjSGlZ0fWt8jvw6Hcj9t0LEVr8R5tQtna98kSh2VNGHUAXUbs5RSmPDHzPc16WoZrxGzQoQZzOSrvSRX8zkly/nEI2LKTEKgtQtODIpu+rhBn1+WkM0yOLaBIN90sBDBMYItJOwGPc7rsz8i129yySVp9VLViQH4T5pQIXGJ1IPpGoBypzsaDyg0+lPqmwPv/jx7PitfKHuVSIPay2EHJtNVXYeiTuJ8e7Wjk2ZioE/w1R2OK49bDQglmluDkd5IkN93XlngXXauyOwYMs0kq1B';
const DSA =
  'AAAAB3NzaC1kc3MAAACBALxc72hLvLAZMI5gPPe42d3ylfox3PBdqgcuuW9QjxqzVbF2uQs/ckY1twXPz/QRdBps3u4ugiI7i+I9bqKSXO8l12aOZr33l4QoK1UBMhkFBzw4IzTBkYktzaVqukwphofeRTwVllRh0T/3nUnog778TY2JK/DUHKDIghE/9AutAAAAFQDpQG6td588UfebQYkqvTi5oetBrwAAAIEAoqSDmYi0cCjzpnTUrmDg4VLsstBvqfgBzeVFrFSeUFHWhXh0sTYvMZg/ypZ71QmMH5Hmy9++eZBfb0I+AAB8PFop7o0XO3PoH+qhDzcSkJTt3lDO2zdekLBphlFVPX7mpGhnk4Y+lMUdx/DgT1h2sag3NOFHa2rhuw0e3pTP6xwAAACAY62M2MtmTIEXXyuCmTHO+nD9HgNfbjORxw6dxaHovionkd71XJFfj5SFmIKLkQ6laG4nD/1jqDiIQwYt2hy1ARgDEE9JcjMlsYC+KEarCsqOGI10Srq7Y7Fhrc7PQfRBG+qWkDtvGOhSJKtKjzmkerKNDVmF7hCLrMy90JRvric=';

const ed25519 = `ssh-ed25519 ${ED25519}`;

/** A key line from the fields of its blob; the first field is its type. */
function lineOf(...fields: (string | Uint8Array)[]): string {
  const parts = fields
    .map((field) => Buffer.from(field))
    .flatMap((field) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(field.length);
      return [length, field];
    });
  return `${String(fields[0])} ${Buffer.concat(parts).toString('base64')}`;
}

/** A positive mpint of `bits` bits that ends in `last`. */
function mpint(bits: number, last = 1): Buffer {
  const bytes = Buffer.alloc(Math.ceil(bits / 8), 0x5a);
  bytes[0] = 1 << ((bits - 1) % 8);
  bytes[bytes.length - 1] = last;
  return (bytes[0] & 0x80) === 0 ? bytes : Buffer.concat([Buffer.alloc(1), bytes]);
}

const E = Buffer.from('010001', 'hex');
const whyNot = (text: string) => {
  const [code, message] = failureOf(() => parseSshPublicKey(text));
  expect(code).toBe('SSH_KEY_INVALID');
  return message;
};

describe('a key made by ssh-keygen', () => {
  it.each([
    ['ssh-ed25519', ED25519, 'UuhXpveCuQCqB+KaV/rUAt0T11zEkA3tY1fw3u9gacY'],
    ['ecdsa-sha2-nistp256', ECDSA_256, 'CgG05HJZKwWY3KlMklWg0XBC8S093BzpD3Cm9YI67NA'],
    ['ecdsa-sha2-nistp384', ECDSA_384, 'B+TdUE1RyRBhCp5xxmje36dyImmhI0dXIKBhr0YAV7U'],
    ['ecdsa-sha2-nistp521', ECDSA_521, 'VyggPFp030uthrLiQDwic3PHTy8ESTLNunVIit1LMi0'],
    ['ssh-rsa', RSA_2048, 'ByNgB2698W0odrizNIFTuTFO48+oh2QLYX9aZGvbOB0'],
  ])('%s is taken with the fingerprint that ssh-keygen shows', (type, base64, fingerprint) => {
    expect(parseSshPublicKey(`${type} ${base64} a comment with spaces`)).toEqual({
      type,
      line: `${type} ${base64}`,
      fingerprint: `SHA256:${fingerprint}`,
    });
  });

  it.each([
    ['ssh-rsa', RSA_1024, 'has 1024 bits; 2048 are the least'],
    ['ssh-rsa', RSA_2047, 'has 2047 bits; 2048 are the least'],
    ['ssh-dss', DSA, 'the type "ssh-dss" is not taken'],
  ])('%s is refused where it is weak', (type, base64, why) => {
    expect(whyNot(`${type} ${base64}`)).toContain(why);
  });
});

describe('how it is pasted', () => {
  it.each([
    ['with a newline', `${ed25519} renter@laptop\n`],
    ['from Windows', `${ed25519} renter@laptop\r\n`],
    ['with space around it', `  ${ed25519}  `],
    ['with more space inside', `ssh-ed25519   ${ED25519}   x`],
    ['with a comment in other letters', `${ed25519} Zoë’s “laptop”`],
    ['without padding', `ecdsa-sha2-nistp256 ${ECDSA_256.replace('=', '')}`],
  ])('%s it is the same key', (_name, text) => {
    expect([ed25519, `ecdsa-sha2-nistp256 ${ECDSA_256}`]).toContain(parseSshPublicKey(text).line);
  });

  it.each([
    [
      'a private key',
      '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----',
    ],
    ['an encrypted one', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n'],
    ['one of PuTTY', 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n'],
  ])('%s is named as such, and what to paste instead', (_name, text) => {
    expect(whyNot(text)).toContain('this is a private key');
    try {
      parseSshPublicKey(text);
    } catch (error) {
      expect((error as AppError).remedy).toBe('Paste the public key: the file that ends in .pub.');
      expect(`${String(error)} ${JSON.stringify(error)}`).not.toMatch(/b3Blb|MIIF|Encryption/);
    }
  });

  it.each([
    ['nothing', ''],
    ['only spaces', '   \n'],
    ['only a type', 'ssh-ed25519'],
    ['a fingerprint', 'SHA256:UuhXpveCuQCqB+KaV/rUAt0T11zEkA3tY1fw3u9gacY'],
    ['two keys', `${ed25519}\n${ed25519}`],
    ['a key and a line of options for another', `${ed25519} x\ncommand="rm -rf /" ${ed25519}`],
    ['options before the key', `command="id" ${ed25519}`],
    ['the key before its type', `${ED25519} ssh-ed25519`],
    ['a tab inside', `ssh-ed25519\t${ED25519}`],
    ['a null character', `${ed25519} \0`],
    ['an escape sequence in the comment', `${ed25519} \u001b[2J`],
    ['SSH2 form', '---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----'],
    ['PEM', '-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----'],
    ['too much', `${ed25519} ${'x'.repeat(8200)}`],
  ])('%s is refused', (_name, text) =>
    expect(whyNot(text)).toMatch(/must (be one line|read "type base64 comment")/),
  );

  it('says which field is wrong', () => {
    try {
      parseSshPublicKey('ssh-ed25519 AAAA');
    } catch (error) {
      expect((error as AppError).fields).toEqual([
        { pointer: '/ssh_public_key', detail: 'its type and its contents differ' },
      ]);
    }
  });
});

describe('tampering', () => {
  it.each([
    ['another type in front', `ssh-rsa ${ED25519}`],
    ['a type in capitals', `SSH-ED25519 ${ED25519}`],
    ['base64 cut off', `ssh-ed25519 ${ED25519.slice(0, -4)}`],
    ['base64 cut in the middle of a byte', `ssh-ed25519 ${ED25519.slice(0, -1)}`],
    [
      'junk behind the key',
      `ssh-ed25519 ${Buffer.concat([Buffer.from(ED25519, 'base64'), Buffer.from('xyz')]).toString('base64')}`,
    ],
    ['an empty field more', lineOf('ssh-ed25519', Buffer.from(ED25519, 'base64').subarray(19), '')],
    [
      'a length that points behind the end',
      `ssh-ed25519 ${Buffer.from('0000ffff7373682d656432353531', 'hex').toString('base64')}`,
    ],
    ['the URL alphabet', `ssh-ed25519 ${ED25519.replace(/\+/g, '-')}`],
    ['a certificate', lineOf('ssh-ed25519-cert-v01@openssh.com', 'x')],
    ['a key on a security token', lineOf('sk-ssh-ed25519@openssh.com', Buffer.alloc(32, 5), 'ssh:')],
    ['a type named like the prototype', lineOf('constructor', 'x')],
    ['31 bytes', lineOf('ssh-ed25519', Buffer.alloc(31, 5))],
    ['a zero key', lineOf('ssh-ed25519', Buffer.alloc(32))],
    ['a key of small order', lineOf('ssh-ed25519', Buffer.from(`01${'00'.repeat(31)}`, 'hex'))],
    ['no modulus', lineOf('ssh-rsa', E)],
    ['an empty modulus', lineOf('ssh-rsa', E, '')],
    ['a field behind the modulus', lineOf('ssh-rsa', E, mpint(2048), 'x')],
    ['a modulus padded with zeros', lineOf('ssh-rsa', E, Buffer.concat([Buffer.alloc(200), mpint(1024)]))],
    ['a negative modulus', lineOf('ssh-rsa', E, Buffer.alloc(256, 0xff))],
    ['an even modulus', lineOf('ssh-rsa', E, mpint(2048, 2))],
    ['a giant modulus', `ssh-rsa ${lineOf('ssh-rsa', E, mpint(16_385)).slice(8)}`],
    ['an exponent of 1', lineOf('ssh-rsa', mpint(1), mpint(2048))],
    ['an even exponent', lineOf('ssh-rsa', mpint(17, 2), mpint(2048))],
    [
      'another curve',
      lineOf('ecdsa-sha2-nistp256', 'nistp384', Buffer.from(ECDSA_384, 'base64').subarray(-97)),
    ],
    ['a point in short form', lineOf('ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(33, 2))],
    [
      'a point beside the curve',
      lineOf('ecdsa-sha2-nistp256', 'nistp256', Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])),
    ],
    ['the point at infinity', lineOf('ecdsa-sha2-nistp256', 'nistp256', Buffer.of(0))],
  ])('%s is refused', (_name, text) => expect(whyNot(text)).toMatch(/^The SSH key was refused: .+\.$/));

  it('helper keys are sound where nothing was tampered with', () => {
    expect(parseSshPublicKey(lineOf('ssh-rsa', E, mpint(2048))).type).toBe('ssh-rsa');
    expect(parseSshPublicKey(lineOf('ssh-rsa', E, mpint(16_384))).type).toBe('ssh-rsa');
    expect(parseSshPublicKey(lineOf('ssh-ed25519', Buffer.from(ED25519, 'base64').subarray(19))).line).toBe(
      ed25519,
    );
  });

  it('no text whatever makes it throw anything else', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 80 }), (text, bytes) => {
        whyNot(text);
        whyNot(`ssh-ed25519 ${Buffer.from(bytes).toString('base64')}`);
        whyNot(lineOf('ssh-rsa', bytes, bytes));
        whyNot(lineOf('ecdsa-sha2-nistp521', 'nistp521', bytes));
      }),
    );
  });
});
