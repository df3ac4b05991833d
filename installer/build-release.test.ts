/** The release is whole: it runs from anywhere with Node alone, and rents a server like the sources do. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rentOnce } from '../e2e/rent-once.ts';
import { startTestSystem } from '../e2e/testing/system-under-test.ts';
import { buildRelease } from './build-release.ts';

let folder = '';
beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'dc-release-'));
  await buildRelease(path.join(folder, 'release'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PROGRAMS = [
  ['agent', 'dc-agent'],
  ['coordinator', 'dc-coordinator'],
] as const;

/** Runs a launcher as its user would, from an empty folder and with nothing of this repository in reach. */
function runAlone(workspace: string, name: string, ...args: string[]): string {
  const cwd = path.join(folder, 'empty');
  mkdirSync(cwd, { recursive: true });
  return execFileSync(path.join(folder, 'release', workspace, 'bin', name), args, {
    cwd,
    env: { PATH: `${path.dirname(process.execPath)}:/usr/bin:/bin`, HOME: cwd },
    encoding: 'utf8',
  });
}

/** Every file below `root` with the hash of its content and its mode. */
const contentsOf = (root: string): [string, string][] =>
  globSync('**', { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .map((file): [string, string] => [
      path.relative(root, file),
      `${(statSync(file).mode & 0o777).toString(8)} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`,
    ])
    .sort();

describe.each(PROGRAMS)('the release of the %s', (workspace, name) => {
  it('explains itself from an empty folder', () => {
    expect(runAlone(workspace, name, '--help')).toMatch(new RegExp(`^Usage: ${name} `));
  });

  it('says the version of its package', () => {
    const root = path.join(folder, 'release', workspace);
    const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
    expect(runAlone(workspace, name, '--version').trim()).toBe(manifest.version);
  });

  it('names nothing of the machine that built it', () => {
    const repository = path.dirname(import.meta.dirname);
    for (const [file] of contentsOf(path.join(folder, 'release', workspace))) {
      const content = readFileSync(path.join(folder, 'release', workspace, file));
      expect([file, content.includes(repository), content.includes(folder)]).toEqual([file, false, false]);
    }
  });

  it('carries its licence and those of everything in it', () => {
    const licences = readFileSync(
      path.join(folder, 'release', workspace, 'THIRD-PARTY-LICENCES.txt'),
      'utf8',
    );
    for (const carried of ['better-sqlite3', 'ssh2', 'commander', 'typebox']) {
      expect(licences).toMatch(new RegExp(`^${carried} [0-9.]+ \\(MIT\\)$`, 'm'));
    }
    expect(readFileSync(path.join(folder, 'release', workspace, 'LICENSE'), 'utf8')).toContain(
      'Apache License',
    );
  });
});

describe('the release', () => {
  it('is the same, byte for byte, when it is built again', async () => {
    await buildRelease(path.join(folder, 'again'));
    expect(contentsOf(path.join(folder, 'again'))).toEqual(contentsOf(path.join(folder, 'release')));
  });

  it('loads what is rare only when it is needed', () => {
    const main = readFileSync(path.join(folder, 'release', 'agent', 'lib', 'main.mjs'), 'utf8');
    for (const rare of ['node_modules/ssh2/', 'node_modules/undici/', 'node_modules/execa/'])
      expect(main).not.toContain(rare);
  });

  it('rents a server, logs in, and ends it, with both programs of the release', async () => {
    const bin = (workspace: string, name: string) => path.join(folder, 'release', workspace, 'bin', name);
    const system = await startTestSystem({
      programs: { agent: bin('agent', 'dc-agent'), coordinator: bin('coordinator', 'dc-coordinator') },
    });
    const report = await rentOnce(system.url);
    expect(report.command_output).toMatch(/^hello from /);
    expect([report.instance_gone, report.released]).toEqual([true, true]);
    const page = await fetch(`${system.url}/`);
    const [style = ''] = /\/assets\/page-[A-Z0-9]+\.css/.exec(await page.text()) ?? [];
    expect((await fetch(new URL(style, system.url))).headers.get('content-type')).toContain('text/css');
  });
});
