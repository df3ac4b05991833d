import { createServer } from 'node:http';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { runCli } from './cli.ts';
import { VERSION } from './lib/version.ts';
import { keyOf } from './testing/people.ts';
import { until } from './testing/test-coordinator.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dc-cli-test-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

interface Run {
  exitCode: number;
  out: string;
  err: string;
}

/** A command that has been started. */
interface Started {
  ended: Promise<Run>;
  out: () => string;
  stop(signal: 'SIGTERM' | 'SIGINT'): void;
}

function start(...args: string[]): Started {
  let out = '';
  let err = '';
  const stopped = Promise.withResolvers<'SIGTERM' | 'SIGINT'>();
  const ended = runCli(args, {
    version: '1.2.3',
    print: (line) => (out += `${line}\n`),
    printError: (line) => (err += `${line}\n`),
    stopSignal: () => stopped.promise,
  }).then((exitCode) => ({ exitCode, out, err }));
  return { ended, out: () => out, stop: (signal) => stopped.resolve(signal) };
}

const run = (...args: string[]): Promise<Run> => start(...args).ended;

function writeConfig(more = ''): string {
  const file = join(folder, 'c.toml');
  const text =
    'environment = "test"\npublic_url = "http://127.0.0.1:8787"\ndata_dir = "data"\nlog_level = "error"\n';
  writeFileSync(file, `${text}${more}\n[metrics]\nenabled = false\n`);
  return file;
}

describe('dc-coordinator --help', () => {
  it.each([
    '',
    'serve',
    'migrate',
    'doctor',
    'admin',
    'admin ledger',
    'admin ledger verify',
    'admin ledger export',
    'admin report',
    'admin grant-admin',
    'admin stats',
    'admin archive',
    'admin archive show',
    'admin archive run',
    'admin refunds',
    'admin refunds approve',
    'admin refunds decline',
    'admin stripe',
    'admin stripe setup',
    'admin key',
    'admin key status',
    'admin key rotate',
    'admin key retire',
    'admin safe-mode',
    'admin safe-mode status',
    'admin safe-mode enter',
    'admin safe-mode resolve',
  ])('of "%s" reads as it did', async (command) => {
    const { exitCode, out } = await run(...command.split(' ').filter((word) => word !== ''), '--help');
    expect(exitCode).toBe(0);
    expect(out).toMatchSnapshot();
  });

  it('says the version of the package', async () => {
    expect((await run('--version')).out).toBe('1.2.3\n');
    const packageFile = new URL('../package.json', import.meta.url);
    expect((JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }).version).toBe(VERSION);
  });
});

describe('a command that cannot be understood', () => {
  it.each([
    [['srve'], 'unknown command'],
    [['serve', '--prot', '1'], 'unknown option'],
    [['serve', '--port', 'http'], 'A port is a number'],
    [['serve', '--port', '65536'], 'A port is a number'],
    [['admin', 'grant-admin', 'me'], '64 hexadecimal digits'],
    [['admin', 'grant-admin'], 'missing required argument'],
  ])('%j ends with 2 and says so', async (args, text) => {
    const { exitCode, err } = await run(...args);
    expect(exitCode).toBe(2);
    expect(err).toContain(text);
  });
});

describe('serve', () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGINT', 0],
  ] as const)('prints one line when it is ready, and drains on %s', async (signal, exitCode) => {
    const started = start('serve', '--config', writeConfig(), '--port', '0');
    await until(() => started.out() !== '', 'being ready');
    expect(started.out()).toMatch(
      /^dc-coordinator 1\.2\.3 is ready on http:\/\/127\.0\.0\.1:\d+ as http:\/\/127\.0\.0\.1:8787\n$/,
    );
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(started.out())?.[0] ?? '';
    const answer = await fetch(`${url}/health/ready`);
    expect(answer.status).toBe(200);
    started.stop(signal);
    const ended = await started.ended;
    expect(ended).toMatchObject({ exitCode, err: '' });
    await expect(fetch(`${url}/health/ready`)).rejects.toThrow();
    // Closed cleanly: what was in the log is in the file.
    const db = new BetterSqlite3(join(folder, 'data', 'coordinator.sqlite'), { readonly: true });
    expect(db.prepare('select count(*) as count from migrations').get()).not.toEqual({ count: 0 });
    db.close();
  });

  it('ends with 2 where the port is in use, says so, and leaves nothing running', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const { exitCode, err } = await run('serve', '--config', writeConfig(), '--port', String(port));
    expect(exitCode).toBe(2);
    expect(err).toContain('PORT_IN_USE');
    expect(err).toContain(String(port));
    expect(err).toContain('choose another with --port');
    expect((await run('migrate', '--config', writeConfig())).exitCode).toBe(0);
  });

  it.each([
    ['no configuration', () => join(folder, 'nothing.toml'), 'CONFIG_MISSING'],
    ['a wrong one', () => writeConfig('colour = "red"'), 'CONFIG_INVALID'],
  ])('ends with 2 for %s', async (_, file, code) => {
    const { exitCode, err } = await run('serve', '--config', file());
    expect(exitCode).toBe(2);
    expect(err).toContain(code);
    expect(err).not.toContain('at ');
  });

  it('ends with 3 where the database is newer, and changes nothing', async () => {
    const config = writeConfig();
    await run('migrate', '--config', config);
    const file = join(folder, 'data', 'coordinator.sqlite');
    const db = new BetterSqlite3(file);
    db.prepare("insert into migrations (name, applied_at) values ('9999-from-the-future', 0)").run();
    db.pragma('wal_checkpoint(truncate)');
    db.close();
    const before = readFileSync(file);
    for (const command of [['serve', '--port', '0'], ['migrate'], ['admin', 'stats']]) {
      const { exitCode, err } = await run(...command, '--config', config);
      expect(exitCode).toBe(3);
      expect(err).toContain('DATABASE_NEWER');
    }
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});

describe('migrate', () => {
  it('says what it applied, once', async () => {
    const config = writeConfig();
    const first = await run('migrate', '--config', config);
    expect(first.exitCode).toBe(0);
    expect(first.out).toContain('applied 0002-spine\n');
    expect((await run('migrate', '--config', config)).out).toBe('The database is up to date.\n');
  });
});

describe('admin', () => {
  it('needs a database', async () => {
    const { exitCode, err } = await run('admin', 'stats', '--config', writeConfig());
    expect(exitCode).toBe(2);
    expect(err).toContain('There is no database');
  });

  it('verifies the ledger, counts, and makes an admin of an account', async () => {
    const config = writeConfig();
    await run('migrate', '--config', config);
    const verified = await run('admin', 'ledger', 'verify', '--config', config);
    expect(verified).toMatchObject({ exitCode: 0, out: 'The ledger adds up: 0 sets, 0 postings.\n' });
    const exported = await run('admin', 'ledger', 'export', '--format', 'csv', '--config', config);
    expect(exported).toMatchObject({
      exitCode: 0,
      out: expect.stringMatching(/^set_id,at,cause,/) as string,
    });
    const key = keyOf('ada').publicKey;
    const nobody = await run('admin', 'grant-admin', key, '--config', config);
    expect(nobody.exitCode).toBe(2);
    expect(nobody.err).toContain('ACCOUNT_NOT_FOUND');
    const db = new BetterSqlite3(join(folder, 'data', 'coordinator.sqlite'));
    db.prepare('insert into accounts (pubkey, is_admin, created_at) values (?, 0, 0)').run(key);
    db.prepare("insert into account_keys values (?, ?, '', 0, null)").run(key, key);
    const granted = await run('admin', 'grant-admin', key, '--config', config);
    expect(granted.exitCode).toBe(0);
    expect(db.prepare('select is_admin from accounts').get()).toEqual({ is_admin: 1 });
    db.close();
    expect((await run('admin', 'stats', '--config', config)).out).toMatch(/^accounts +1$/m);
  });

  it('ends with 1 where something waits for a person, and names it', async () => {
    const config = writeConfig();
    await run('migrate', '--config', config);
    const db = new BetterSqlite3(join(folder, 'data', 'coordinator.sqlite'));
    db.prepare(
      "insert into outbox (topic, key, payload, created_at, not_before_at, attempts, needs_attention_at) values ('payment.refund', 'r1', '{}', 0, 0, 150, 1)",
    ).run();
    db.close();
    const { exitCode, out } = await run('admin', 'stats', '--config', config);
    expect(exitCode).toBe(1);
    expect(out).toContain('needs attention: payment.refund r1, 150 attempts');
  });
});

describe('admin key', () => {
  it('announces a key, says where the rotation stands, and deletes no key that counts', async () => {
    const file = writeConfig();
    await run('migrate', '--config', file);
    const before = (await run('admin', 'key', 'status', '--config', file)).out;
    expect(before).toMatch(/^[0-9a-f]{64} signs now\.\n$/);
    const rotated = await run(
      'admin',
      'key',
      'rotate',
      '--start-in',
      '0',
      '--overlap',
      '24',
      '--config',
      file,
    );
    expect(rotated.out).toMatch(/^[0-9a-f]{64} → [0-9a-f]{64}: (announced|overlap); /m);
    const again = await run('admin', 'key', 'rotate', '--config', file);
    expect([again.exitCode, again.err]).toEqual([2, expect.stringContaining('KEY_ROTATION_PENDING')]);
    expect((await run('admin', 'key', 'retire', '--config', file)).out).toBe(
      'Every key that is there counts.\n',
    );
    expect((await run('admin', 'key', 'rotate', '--overlap', 'soon', '--config', file)).exitCode).toBe(2);
  });
});

describe('admin refunds', () => {
  it('says that none waits, and that there is none to decide about', async () => {
    const file = writeConfig();
    await run('migrate', '--config', file);
    expect((await run('admin', 'refunds', 'list', '--config', file)).out).toBe('No refund waits.\n');
    const unknown = await run('admin', 'refunds', 'approve', 'nothing', '--config', file);
    expect([unknown.exitCode, unknown.err]).toEqual([2, expect.stringContaining('REFUND_NOT_FOUND')]);
    expect((await run('admin', 'refunds', 'decline', 'nothing', '--config', file)).err).toContain('--reason');
  });
});

describe('admin safe-mode', () => {
  it('is entered, shown and resolved, while nothing serves', async () => {
    const file = writeConfig();
    expect((await run('admin', 'safe-mode', 'status', '--config', file)).out).toBe('Safe mode is off.\n');
    expect((await run('admin', 'safe-mode', 'enter', '--config', file)).out).toBe('Safe mode is on.\n');
    const status = await run('admin', 'safe-mode', 'status', '--config', file);
    expect(status.exitCode).toBe(1);
    expect(status.out).toContain('nothing is sold, ordered, ended or paid');
    expect((await run('admin', 'stats', '--config', file)).out).toContain('safe mode since');
    expect((await run('admin', 'safe-mode', 'resolve', '--config', file)).out).toContain('Safe mode is off.');
    const again = await run('admin', 'safe-mode', 'resolve', '--config', file);
    expect([again.exitCode, again.out]).toEqual([0, 'Safe mode is off already.\n']);
  });
});
