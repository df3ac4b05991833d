/** The units in systemd/ are part of the program: systemd takes them, and every line of them is explained. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../lib/exit-code.ts';
import { tempDirs } from '../testing/temp-dir.ts';

const makeDir = tempDirs();
const DIRECTORY = resolve(import.meta.dirname, '../../../systemd');
const UNITS = ['dc-agent.service', 'dc-coordinator.service'];
const page = readFileSync(join(DIRECTORY, 'README.md'), 'utf8');

/** The settings of a unit, in order: `Restart=always`. */
const settingsOf = (unit: string): string[] =>
  readFileSync(join(DIRECTORY, unit), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !/^[[#]/.test(line));

const valueOf = (unit: string, name: string): string | undefined =>
  settingsOf(unit)
    .find((line) => line.startsWith(`${name}=`))
    ?.slice(name.length + 1);

/** What the tables of the page explain: `Restart=always` for one value, `User=` for any. */
const explained = [...page.matchAll(/^\|(.*?)\|.*\|$/gm)].flatMap(([, cell = '']) =>
  [...cell.matchAll(/`([A-Za-z]+=[^`]*)`/g)].map(([, text = '']) => text),
);
const isExplainedBy = (line: string, text: string): boolean =>
  text === line || (text.endsWith('=') && line.startsWith(text));

describe('the units', () => {
  it.each(UNITS)('of %s: every line is explained', (unit) => {
    const missing = settingsOf(unit).filter((line) => !explained.some((text) => isExplainedBy(line, text)));
    expect(missing).toEqual([]);
  });

  it('have every line that is explained', () => {
    const lines = UNITS.flatMap(settingsOf);
    expect(explained.filter((text) => !lines.some((line) => isExplainedBy(line, text)))).toEqual([]);
  });

  it('do not start again what starting cannot mend', () => {
    const codes = [EXIT.usage, EXIT.journal, EXIT.unauthorised].join(' ');
    expect(valueOf('dc-agent.service', 'RestartPreventExitStatus')).toBe(codes);
    expect(valueOf('dc-agent.service', 'SuccessExitStatus')).toBe(String(EXIT.sigterm));
  });

  it('give a drain the time that it takes', () => {
    expect(Number(valueOf('dc-agent.service', 'TimeoutStopSec'))).toBeGreaterThan(30 + 5);
  });

  // systemd itself says whether it understands a unit; without it only the other tests speak.
  it.skipIf(spawnSync('systemd-analyze', ['--version']).status !== 0)(
    'are understood by systemd',
    async () => {
      const root = await makeDir();
      const folder = join(root, 'etc/systemd/system');
      await mkdir(folder, { recursive: true });
      await mkdir(join(root, 'usr/bin'), { recursive: true });
      for (const unit of UNITS) {
        const program = join(root, 'usr/bin', unit.replace('.service', ''));
        await cp('/bin/true', program);
        const text = await readFile(join(DIRECTORY, unit), 'utf8');
        await writeFile(join(folder, unit), text.replace(/^ExecStart=\S+/m, `ExecStart=${program}`));
      }
      const paths = UNITS.map((unit) => join(folder, unit));
      const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' });
      // Units of this machine that are not ours may be broken as they like.
      expect(stderr.split('\n').filter((line) => line.includes(folder))).toEqual([]);
    },
  );
});
