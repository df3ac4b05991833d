import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { IMAGES, parseCatalogue, type CloudImage } from './image-catalogue.ts';
import { metaData, userData } from './template-seed.ts';
import { checksumOf } from './verify-image.ts';

const image = (system: string): CloudImage => IMAGES.find((each) => each.system === system)!;
const SHA256 = 'a'.repeat(64);
const SHA512 = 'b'.repeat(128);

describe('a list of checksums', () => {
  it('is read as sha256sum, sha512sum and BSD write it', () => {
    const ubuntu = image('ubuntu-24.04');
    expect(checksumOf(ubuntu, `${'c'.repeat(64)} *other.img\n${SHA256} *${ubuntu.file}\n`)).toBe(SHA256);
    const debian = image('debian-13');
    expect(checksumOf(debian, `${SHA512}  ${debian.file}\n`)).toBe(SHA512);
    const rocky = image('rocky-9');
    expect(checksumOf(rocky, `# ${rocky.file}: 6 bytes\nSHA256 (${rocky.file}) = ${SHA256}\n`)).toBe(SHA256);
  });

  it.each([
    ['nothing of the file', ''],
    ['a name that only looks like it', `${SHA256} *xubuntu.img\n`],
    ['two different ones', `${SHA256} *FILE\n${'c'.repeat(64)} *FILE\n`],
    ['one that is too short', `${'a'.repeat(40)} *FILE\n`],
    [
      'a name with other letters for its dots',
      `${SHA256} *DOTLESS
`,
    ],
  ])('with %s is refused', (_what, text) => {
    const ubuntu = image('ubuntu-22.04');
    expect(() =>
      checksumOf(
        ubuntu,
        text.replaceAll('FILE', ubuntu.file).replace('DOTLESS', ubuntu.file.replaceAll('.', 'x')),
      ),
    ).toThrow('no single one');
  });
});

describe('the catalogue', () => {
  it('has the key of Canonical with the fingerprint that Canonical publishes', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dc-key-'));
    try {
      const { key } = image('ubuntu-24.04').signature!;
      writeFileSync(join(folder, 'key.gpg'), Buffer.from(key.keyring, 'base64'));
      const args = ['--homedir', folder, '--batch', '--with-colons', '--show-keys', join(folder, 'key.gpg')];
      const shown = execFileSync('gpg', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
      expect(/^fpr:+([0-9A-F]{40}):/m.exec(shown)?.[1]).toBe(key.fingerprint);
      expect(shown).toContain('UEC Image Automatic Signing Key <cdimage@ubuntu.com>');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('has every system over TLS, each said to be signed or not', () => {
    expect(IMAGES.map(({ system }) => system)).toEqual([
      ...['debian-12', 'debian-13', 'ubuntu-22.04', 'ubuntu-24.04', 'rocky-9'],
    ]);
    for (const { folder, signature, vouchedBy } of IMAGES) {
      expect(folder).toMatch(/^https:/);
      expect(vouchedBy).toContain(signature === null ? 'over TLS' : 'signed');
    }
  });

  it('of one’s own is read strictly, and must be signed or come over TLS', () => {
    const [first] = IMAGES;
    expect(parseCatalogue(JSON.stringify([first]), 'f')).toEqual([first]);
    expect(() => parseCatalogue('nothing', 'f')).toThrow('f is no JSON');
    expect(() => parseCatalogue('[{}]', 'f')).toThrow('f/0');
    const open = [{ ...first, folder: 'http://192.0.2.1/images' }];
    expect(() => parseCatalogue(JSON.stringify(open), 'f')).toThrow(
      'debian-12 has no signature and comes without TLS',
    );
  });
});

describe('the seed of a first boot', () => {
  it('lets nobody in, and installs the guest agent', () => {
    expect(userData(image('debian-12'))).toBe(
      [
        '#cloud-config',
        'users: []',
        'ssh_pwauth: false',
        'package_update: true',
        'packages: [qemu-guest-agent]',
        'runcmd:',
        '  - "systemctl enable --now qemu-guest-agent"',
        '',
      ].join('\n'),
    );
    expect(metaData('dc-debian-12')).toMatch(/^instance-id: dc-debian-12-build$/m);
  });

  it('frees the agent on Rocky Linux from what confines it there, and nothing else', () => {
    const text = userData(image('rocky-9'));
    expect(text).toContain('semanage permissive -a virt_qemu_ga_t');
    expect(text).not.toMatch(/setenforce|SELINUX=/);
  });
});
