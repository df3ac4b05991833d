/**
 * `npm test` itself: the real scripts/test.ts, in a folder where the programs that it runs are small stand-ins that
 * pass, fail or crash as a test wants.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LANES } from '../scripts/lanes.ts';

const REPOSITORY = path.dirname(import.meta.dirname);
/** The programs of the system that lanes ask for. */
const NEEDED = new Set(LANES.flatMap(({ needs }) => needs.map(({ program }) => program)));
const CHECKS = ['prettier', 'tsc', 'eslint', 'knip'];

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'dc-test-command-'));
  cpSync(path.join(REPOSITORY, 'scripts'), path.join(folder, 'scripts'), { recursive: true });
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(path.join(folder, 'scripts', 'generate-docs.ts'), '');
  for (const check of CHECKS) ours(check, 'exit 0');
  ours('vitest', vitest('passed passed'));
  for (const name of NEEDED) system(name, 'exit 0');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function program(file: string, script: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
}
const ours = (name: string, script: string): void =>
  program(path.join(folder, 'node_modules', '.bin', name), script);
const system = (name: string, script: string): void => program(path.join(folder, 'system', name), script);

/** A vitest that says what it was asked, and reports one file with these tests. */
function vitest(statuses: string, exitCode = 0): string {
  const assertionResults = statuses.split(' ').map((status) => ({ status }));
  const report = JSON.stringify({ testResults: [{ status: 'passed', assertionResults }] });
  return `
    for argument in "$@"; do
      case $argument in --outputFile.json=*) echo '${report}' > "\${argument#*=}" ;; esac
    done
    echo "vitest was asked: $*"
    exit ${exitCode}`;
}

function npmTest(
  args: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): { code: number | null; lines: string[] } {
  const done = spawnSync(process.execPath, [path.join(folder, 'scripts', 'test.ts'), ...args], {
    env: { PATH: path.join(folder, 'system'), ...environment },
    encoding: 'utf8',
  });
  return { code: done.status, lines: `${done.stdout}${done.stderr}`.trimEnd().split('\n') };
}

describe('npm test', () => {
  it('runs every lane in order, and ends with the counts of all', () => {
    const { code, lines } = npmTest();
    expect(lines.filter((line) => line.startsWith('━━'))).toEqual([
      '━━ check ━━',
      '━━ unit ━━',
      '━━ e2e ━━',
      '━━ machines ━━',
      '━━ browser ━━',
    ]);
    expect(lines.at(-1)).toBe('13 passed, 0 failed');
    expect(code).toBe(0);
  });

  it('fails when a check fails, shows what it said, and still runs the rest', () => {
    ours('eslint', 'echo "a.ts: not like this"; exit 1');
    const { code, lines } = npmTest();
    expect(lines).toContain('a.ts: not like this');
    expect(lines.at(-1)).toBe('12 passed, 1 failed');
    expect(code).toBe(1);
  });

  it('fails when a test fails', () => {
    ours('vitest', vitest('passed failed', 1));
    const { code, lines } = npmTest(['--lane', 'unit']);
    expect(lines.at(-1)).toBe('1 passed, 1 failed');
    expect(code).toBe(1);
  });

  it('fails when vitest found an error outside its tests', () => {
    ours('vitest', vitest('passed', 1));
    expect(npmTest(['--lane', 'unit'])).toMatchObject({ code: 1 });
    expect(npmTest(['--lane', 'unit']).lines.at(-1)).toBe('1 passed, 1 failed');
  });

  it('fails when vitest crashes', () => {
    ours('vitest', 'kill -SEGV $$');
    const { code, lines } = npmTest(['--lane', 'unit']);
    expect(lines.at(-1)).toBe('0 passed, 1 failed');
    expect(code).toBe(1);
  });

  it('fails when no test ran', () => {
    ours('vitest', vitest('skipped'));
    const { code, lines } = npmTest(['--lane', 'unit']);
    expect(lines.at(-1)).toBe('0 passed, 0 failed, 1 skipped');
    expect(code).toBe(1);
  });

  it('hands file names and options to vitest', () => {
    const { lines } = npmTest(['agent/src/journal', '-t', 'crash']);
    const asked = lines.filter((line) => line.startsWith('vitest was asked:'));
    expect(asked).toHaveLength(4);
    for (const line of asked) expect(line).toMatch(/--passWithNoTests agent\/src\/journal -t crash$/);
  });
});

describe('a signal', () => {
  it('ends what is running, and leaves nothing behind', async () => {
    const programs = readdirSync(path.join(folder, 'system'));
    ours('vitest', 'trap "echo > ended; exit 1" TERM; echo vitest runs; while :; do sleep 0.1; done');
    system('sleep', 'exec /bin/sleep "$@"');
    const child = spawn(process.execPath, [path.join(folder, 'scripts', 'test.ts'), '--lane', 'unit'], {
      env: { PATH: path.join(folder, 'system'), TMPDIR: path.join(folder, 'system') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    for await (const chunk of child.stdout) if (String(chunk).includes('vitest runs')) break;
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(code).toBe(143);
    while (!existsSync(path.join(folder, 'ended'))) await pause(20);
    expect(readdirSync(path.join(folder, 'system')).sort()).toEqual([...programs, 'sleep'].sort());
  });
});

describe('a lane whose programs are missing', () => {
  beforeEach(() => rmSync(path.join(folder, 'system', 'ssh')));

  it('is skipped by name, with the reason', () => {
    const { code, lines } = npmTest(['--lane', 'check', '--lane', 'e2e']);
    expect(lines.join('\n')).toMatch(
      /− e2e +skipped: ssh not found, and (there is no apt-get|this is not Debian)/,
    );
    expect(lines.at(-1)).toBe('5 passed, 0 failed');
    expect(code).toBe(0);
  });

  it('is a failure under CI', () => {
    const { code, lines } = npmTest(['--lane', 'check', '--lane', 'e2e'], { CI: 'true' });
    expect(lines.at(-1)).toBe('5 passed, 1 failed');
    expect(code).toBe(1);
  });

  // Only there does `npm test` install anything.
  describe.runIf(existsSync('/etc/debian_version') && process.getuid?.() === 0)('on Debian, as root', () => {
    const installing = (script: string): string => `
      echo "$* $DEBIAN_FRONTEND" >> ${path.join(folder, 'asked')}
      case "$*" in *install*) ${script} ;; esac`;
    const asked = (): string => spawnSync('cat', [path.join(folder, 'asked')], { encoding: 'utf8' }).stdout;
    const bringSsh = (): string => `echo > ${path.join(folder, 'system', 'ssh')}`;

    it('runs after its packages were installed, which is said', () => {
      system('apt-get', installing(bringSsh()));
      const { code, lines } = npmTest(['--lane', 'e2e']);
      expect(lines).toContain('Installing what the tests need: apt-get install openssh-client');
      expect(lines.at(-1)).toBe('2 passed, 0 failed');
      expect(asked()).toMatch(/install -y --no-install-recommends openssh-client noninteractive\n$/);
      expect(code).toBe(0);
    });

    it('has the lists fetched when the ones at hand did not do', () => {
      const marker = path.join(folder, 'updated');
      const update = `case "$*" in *update*) echo > ${marker} ;; esac`;
      system('apt-get', `${update}\n${installing(`[ -e ${marker} ] || exit 100; ${bringSsh()}`)}`);
      expect(npmTest(['--lane', 'e2e']).lines.at(-1)).toBe('2 passed, 0 failed');
      expect(asked().trimEnd().split('\n')).toHaveLength(3);
    });

    it('is skipped with what apt-get said when it could not', () => {
      system('apt-get', installing('echo "E: no network"; exit 100'));
      const { code, lines } = npmTest(['--lane', 'e2e']);
      expect(lines.join('\n')).toContain('skipped: ssh not found, and apt-get failed: E: no network');
      expect(code).toBe(1);
    });
  });
});
