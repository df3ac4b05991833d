import { describe, expect, it } from 'vitest';
import { buildProgram } from './build-program.ts';
import { COMMANDS, parseDaemon, runCli } from './cli.ts';
import { AppError, ERRORS, type ErrorCode } from '@dc/shared/errors';
import { EXIT, exitCodeOf } from './lib/exit-code.ts';
import type { CommandInput } from './lib/command.ts';
import { testWorld } from './testing/test-world.ts';

async function run(...argv: string[]) {
  const world = testWorld();
  return { exitCode: await runCli(argv, world), out: world.printed(), err: world.complained() };
}

describe('the help', () => {
  it('of every command is as it was', async () => {
    const pages = [[], ['setup'], ['orphans'], ['provider'], ...COMMANDS.map(({ name }) => name.split(' '))];
    const texts: string[] = [];
    for (const words of pages) {
      const { exitCode, out, err } = await run(...words, '--help');
      expect([exitCode, err]).toEqual([EXIT.ok, '']);
      texts.push(`$ ${['dc-agent', ...words].join(' ')} --help\n${out}\n`);
    }
    await expect(texts.join('\n')).toMatchFileSnapshot('cli-help.snapshot.txt');
  });

  it('of every option says what it is for', () => {
    for (const { name, args = [], options = [] } of COMMANDS) {
      for (const { flags, description } of [...args, ...options]) {
        expect(description, `${name} ${flags}`).not.toBe('');
      }
    }
  });
});

describe('the command line', () => {
  it.each([
    [[], 'Usage'],
    [['fly'], 'unknown command'],
    [['run', '--fast'], 'unknown option'],
    [['why'], 'missing required argument'],
    [['why', 'a', 'b'], 'too many arguments'],
    [['status', '--config'], 'argument missing'],
  ])('%j is not understood', async (argv, said) => {
    const { exitCode, out, err } = await run(...argv);
    expect(exitCode).toBe(EXIT.usage);
    expect(out).toBe('');
    expect(err).toContain(said);
  });

  it('prints its version', async () => {
    expect(await run('--version')).toMatchObject({ exitCode: EXIT.ok, out: '0.1.0' });
  });

  it('takes --config before and after the command', async () => {
    for (const argv of [
      ['--config', '/nonexistent/a.toml', 'status'],
      ['status', '--config', '/nonexistent/a.toml'],
    ]) {
      const { exitCode, err } = await run(...argv);
      expect(exitCode).toBe(EXIT.usage);
      expect(err).toContain('/nonexistent/a.toml');
      expect(err).toContain('[CONFIG_MISSING]');
    }
  });

  it.each([
    [['run']],
    [['run', '--config', '/x.toml']],
    [['--config', '/x.toml', 'run']],
    [['run', '--config=/x.toml']],
  ])('%j means the same to the daemon as to the parser', async (argv) => {
    const parsed: [string, string][] = [];
    const program = buildProgram(COMMANDS, testWorld(), async ({ name }, { configFile }: CommandInput) => {
      parsed.push([name, configFile]);
    });
    await program.parseAsync(argv, { from: 'user' });
    expect([['run', parseDaemon(argv)?.configFile]]).toEqual(parsed);
  });

  it.each([
    [['run', 'fast']],
    [['run', '--fast']],
    [['run', '--config']],
    [['run', '--config', '']],
    [['--config', 'run']],
    [['run', '--help']],
    [['status']],
    [[]],
    [['run', '--config', 'a', '--config', 'b']],
  ])('%j is left to the parser', (argv) => {
    expect(parseDaemon(argv)).toBeNull();
  });

  it('says what is wrong in JSON where JSON was asked for', async () => {
    const { exitCode, out } = await run('status', '--json', '--config', '/nonexistent/a.toml');
    expect(exitCode).toBe(EXIT.usage);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'CONFIG_MISSING' } });
  });
});

describe('exit codes', () => {
  const codes = Object.keys(ERRORS) as ErrorCode[];

  it('keep systemd from starting again what cannot work', () => {
    const byCode = new Map(codes.map((code) => [code, exitCodeOf(new AppError(code))]));
    const of = (exitCode: number): ErrorCode[] =>
      codes.filter((code) => byCode.get(code) === exitCode).sort();
    expect(of(EXIT.journal)).toEqual(['DATABASE_NEWER', 'JOURNAL_CORRUPT']);
    expect(of(EXIT.unauthorised)).toEqual(
      expect.arrayContaining(['GRANT_EXPIRED', 'KEY_REVOKED', 'PERMISSION_DENIED', 'RECORD_FORK']),
    );
    expect(of(EXIT.usage)).toEqual(expect.arrayContaining(['CONFIG_INVALID', 'KEY_FILE_UNSAFE']));
    expect(byCode.get('COORDINATOR_UNREACHABLE')).toBe(EXIT.failed);
    expect(exitCodeOf(new TypeError('a bug'))).toBe(EXIT.failed);
  });
});
