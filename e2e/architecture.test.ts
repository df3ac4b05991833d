/**
 * The repository keeps its own rules (CONTRIBUTING names them), and each rule is seen to catch what it forbids.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  lockFileGaps,
  tooManyDependencies,
  undecidedDependencies,
  type LockFile,
  type Manifest,
} from './architecture/dependency-rules.ts';
import * as fileRules from './architecture/file-rules.ts';
import * as importRules from './architecture/import-rules.ts';
import { parseSourceFile, type SourceFile } from './architecture/source-file.ts';
import { textViolations, type TextFile } from './architecture/text-rules.ts';

const ROOT = path.dirname(import.meta.dirname);
const NOT_OURS = new Set(['.git', '.runtime', '.data', 'node_modules', 'dist', 'coverage']);
const NOT_TEXT = /\.(png|jpg|ico|woff2|gz)$/;

function* walk(folder = ''): Generator<string> {
  for (const entry of readdirSync(path.join(ROOT, folder), { withFileTypes: true })) {
    const name = path.posix.join(folder, entry.name);
    if (entry.isDirectory() && !NOT_OURS.has(entry.name)) yield* walk(name);
    if (entry.isFile()) yield name;
  }
}

const paths = [...walk()];
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8');
const sources = paths
  .filter((name) => /\.(ts|mjs|js)$/.test(name))
  .map((name) => parseSourceFile(name, read(name)));
const texts: TextFile[] = paths
  .filter((name) => !NOT_TEXT.test(name))
  .map((name) => ({ path: name, text: read(name) }));

/** Files from their texts alone. */
const project = (files: Readonly<Record<string, string>>): SourceFile[] =>
  Object.entries(files).map(([name, text]) => parseSourceFile(name, `/** A sample. */\n${text}`));

interface Rule {
  readonly check: (files: readonly SourceFile[]) => string[];
  /** Files that break it, and the number of violations. */
  readonly broken: readonly (readonly [Readonly<Record<string, string>>, number])[];
  /** Files that keep it. */
  readonly kept: Readonly<Record<string, string>>;
}

const RULES: Readonly<Record<string, Rule>> = {
  'shared imports nothing of ours, and agent and coordinator never meet': {
    check: importRules.workspaceViolations,
    broken: [
      [{ 'shared/src/a.ts': "import { b } from '../../agent/src/b.ts';" }, 1],
      [{ 'agent/src/a.ts': "import type { B } from '../../coordinator/src/b.ts';" }, 1],
      [{ 'agent/src/a.test.ts': "const b = await import('@dc/coordinator/src/b.ts');" }, 1],
      [{ 'coordinator/src/a.ts': "export { b } from '../../agent/src/b.ts';" }, 1],
      [{ 'coordinator/src/a.ts': "import { b } from '../../e2e/b.ts';" }, 1],
    ],
    kept: {
      'agent/src/a.ts': "import { b } from '@dc/shared/b'; import { c } from './c.ts';",
      'e2e/a.ts': "import { b } from '../agent/src/b.ts'; import { c } from '../coordinator/src/c.ts';",
    },
  },
  'shared does no I/O': {
    check: importRules.sharedEffectViolations,
    broken: [[{ 'shared/src/a.ts': "import fs from 'node:fs'; import { fetch } from 'undici';" }, 2]],
    kept: {
      'shared/src/a.ts': "import { createHash } from 'node:crypto'; import type { Stats } from 'node:fs';",
    },
  },
  'the page uses what a browser has': {
    check: importRules.browserViolations,
    broken: [
      [{ 'coordinator/src/web/browser/a.ts': "import { createHash } from 'node:crypto';" }, 1],
      [{ 'coordinator/src/web/browser/a.ts': "import { pay } from '../../payments/pay.ts';" }, 1],
    ],
    kept: {
      'coordinator/src/web/browser/a.ts': "import { b } from './b.ts'; import { c } from '@dc/shared/c';",
    },
  },
  'lib, database and journal know no slice': {
    check: importRules.foundationViolations,
    broken: [
      [{ 'agent/src/lib/a.ts': "import { b } from '../sagas/b.ts';" }, 1],
      [{ 'agent/src/lib/a.ts': "import { b } from '../journal/b.ts';" }, 1],
      [{ 'coordinator/src/database/a.ts': "import { b } from '../contracts/b.ts';" }, 1],
    ],
    kept: {
      'coordinator/src/database/a.ts':
        "import { b } from '../lib/b.ts'; import type { C } from '../contracts/c.ts';",
    },
  },
  'routes, jobs, loops and commands belong to their slice and the wiring': {
    check: importRules.leafViolations,
    broken: [
      [{ 'coordinator/src/payments/a.ts': "import { b } from '../contracts/contract-routes.ts';" }, 1],
      [{ 'agent/src/sagas/a.ts': "import { b } from '../run/run.command.ts';" }, 1],
    ],
    kept: {
      'coordinator/src/wiring.ts': "import { b } from './contracts/contract-routes.ts';",
      'coordinator/src/contracts/contract-routes.test.ts': "import { b } from './contract-routes.ts';",
    },
  },
  'only the entry and commands know the wiring, and nothing the entry': {
    check: importRules.wiringViolations,
    broken: [
      [{ 'agent/src/sagas/a.ts': "import { b } from '../wiring.ts';" }, 1],
      [{ 'agent/src/sagas/a.ts': "import { b } from '../main.ts';" }, 1],
    ],
    kept: {
      'agent/src/main.ts': "import { b } from './wiring.ts';",
      'e2e/a.ts': "import { b } from '../agent/src/wiring.ts';",
    },
  },
  'drivers are known to the registry and the wiring': {
    check: importRules.driverViolations,
    broken: [
      [{ 'agent/src/sagas/a.ts': "import { b } from '../provisioners/local/local-provisioner.ts';" }, 1],
      [{ 'agent/src/provisioners/memory/a.ts': "import { b } from '../local/terminal.ts';" }, 1],
    ],
    kept: {
      'agent/src/provisioners/registry.ts': "import { b } from './local/local-provisioner.ts';",
      'agent/src/provisioners/local/a.ts': "import { b } from './terminal.ts';",
    },
  },
  'what is for tests stays out of the programs': {
    check: importRules.testCodeViolations,
    broken: [[{ 'agent/src/sagas/a.ts': "import { b } from '../testing/manual-clock.ts';" }, 1]],
    kept: { 'agent/src/sagas/a.test.ts': "import { b } from '../testing/manual-clock.ts';" },
  },
  'files that decide reach no I/O': {
    check: importRules.purityViolations,
    broken: [
      [{ 'coordinator/src/contracts/contract-rules.ts': "import fs from 'node:fs';" }, 1],
      [
        {
          'agent/src/reconcile/plan-steps.ts': "import { b } from './b.ts';",
          'agent/src/reconcile/b.ts': "import { c } from './c.ts';",
          'agent/src/reconcile/c.ts': "import Database from 'better-sqlite3';",
        },
        1,
      ],
    ],
    kept: {
      'agent/src/reconcile/plan-steps.ts':
        "import type { B } from './b.ts'; import { c } from '@dc/shared/c';",
      'agent/src/reconcile/b.ts': "import Database from 'better-sqlite3';",
      'shared/src/c.ts': "import { createHash } from 'node:crypto';",
    },
  },
  'no files import each other in a circle': {
    check: importRules.cycleViolations,
    broken: [
      [
        {
          'agent/src/a.ts': "import { b } from './b.ts';",
          'agent/src/b.ts': "import { c } from './c.ts';",
          'agent/src/c.ts': "import { a } from './a.ts';",
        },
        1,
      ],
      [{ 'agent/src/a.ts': "import { a } from './a.ts';" }, 1],
    ],
    kept: {
      'agent/src/a.ts': "import { b } from './b.ts'; import { c } from './c.ts';",
      'agent/src/b.ts': "import { c } from './c.ts';",
      'agent/src/c.ts': "import type { A } from './a.ts';",
    },
  },
  'files stay short': {
    check: fileRules.lengthViolations,
    broken: [
      [{ 'agent/src/a.ts': 'const x = 1;\n'.repeat(400) }, 1],
      [{ 'agent/src/a.test.ts': 'const x = 1;\n'.repeat(600) }, 1],
    ],
    kept: {
      'agent/src/a.ts': 'const x = 1;\n'.repeat(399),
      'agent/src/a.test.ts': 'const x = 1;\n'.repeat(599),
    },
  },
  'file names say something': {
    check: fileRules.nameViolations,
    broken: [
      [{ 'agent/src/utils.ts': '', 'agent/src/http-helpers.ts': '', 'shared/src/wire/common.ts': '' }, 3],
      [{ 'agent/src/OrderService.ts': '' }, 1],
    ],
    kept: {
      'agent/src/provisioners/local/ssh-session.ts': '',
      'coordinator/src/database/migrations/0001-init.ts': '',
    },
  },
  'importing a module does nothing and keeps nothing': {
    check: fileRules.moduleWorkViolations,
    broken: [
      [{ 'agent/src/a.ts': 'start();\nlet count = 0;\nconst pool = new Pool();\nawait ready;' }, 4],
      [{ 'coordinator/src/a.ts': 'export let current: string | null = null;' }, 1],
    ],
    kept: {
      'agent/src/a.ts':
        "const names = new Set(['a']); export const limit = 5; export function run(): void { start(); }",
      'agent/src/main.ts': 'start();',
      'coordinator/src/web/browser/page.ts': 'start();',
      'agent/src/a.test.ts': 'describe();',
    },
  },
};

describe.each(Object.entries(RULES))('%s', (_name, { check, broken, kept }) => {
  it('holds', () => {
    expect(check(sources)).toEqual([]);
  });

  it('is seen to catch what breaks it', () => {
    for (const [files, count] of broken)
      expect(check(project(files)), JSON.stringify(files)).toHaveLength(count);
  });

  it('lets pass what keeps it', () => {
    expect(check(project(kept))).toEqual([]);
  });
});

describe('every source file starts by saying what it is for', () => {
  const first = (text: string): string[] =>
    fileRules.firstCommentViolations([parseSourceFile('agent/src/a.ts', text)]);

  it('holds', () => {
    expect(fileRules.firstCommentViolations(sources)).toEqual([]);
  });

  it('is seen to catch a file that starts with code', () => {
    expect(first("import fs from 'node:fs';\n/** Too late. */")).toHaveLength(1);
    expect(first('#!/usr/bin/env node\nstart();')).toHaveLength(1);
  });

  it('lets pass a comment, and what must come before one', () => {
    expect(first('/** Files. */')).toEqual([]);
    expect(fileRules.firstCommentViolations([parseSourceFile('agent/src/a.test.ts', 'describe();')])).toEqual(
      [],
    );
    expect(first('#!/usr/bin/env node\n// @ts-check\n/** Starts. */')).toEqual([]);
  });
});

describe('exceptions from the length of files', () => {
  it('are for files that are there and are longer', () => {
    for (const name of Object.keys(fileRules.LONGER_FILES)) {
      const file = sources.filter((source) => source.path === name);
      expect(fileRules.lengthViolations(file, {}), name).toHaveLength(1);
    }
  });

  it('are at most three', () => {
    expect(fileRules.lengthViolations([], { a: '', b: '', c: '', d: '' })).toHaveLength(1);
    expect(fileRules.lengthViolations([], { a: '', b: '', c: '' })).toEqual([]);
  });
});

describe('every driver passes the suite of all drivers', () => {
  it('holds', () => {
    expect(fileRules.conformanceViolations(paths)).toEqual([]);
  });

  it('is seen to catch a driver without it', () => {
    const driver = 'agent/src/provisioners/docker/docker-provisioner.ts';
    expect(fileRules.conformanceViolations([driver])).toHaveLength(1);
    expect(fileRules.conformanceViolations([driver, driver.replace('.ts', '.conformance.test.ts')])).toEqual(
      [],
    );
  });
});

describe('no text names one machine, a package registry, or a way round verification', () => {
  it('holds', () => {
    expect(textViolations(texts)).toEqual([]);
  });

  it.each([
    ['README.md', 'see /work/somewhere/notes.md'],
    ['scripts/a.ts', "const home = '/root/.config';"],
    ['package-lock.json', '"resolved": "https://example.org/a.tgz"'],
    ['docs/install.md', 'npm --registry https://registry.npmjs.org'],
    ['e2e/rent.ts', "ssh(['-o', 'StrictHostKeyChecking=no'])"],
    ['e2e/rent.ts', "ssh(['-o', 'UserKnownHostsFile=/dev/null'])"],
    ['installer/install.sh', 'curl -fsSL -k https://example.org'],
    ['installer/install.sh', 'export NODE_TLS_REJECT_UNAUTHORIZED=0'],
    ['agent/src/a.ts', '// TODO: later'],
  ])('is seen to catch, in %s: %s', (name, text) => {
    expect(textViolations([{ path: name, text }])).toHaveLength(1);
  });

  it.each([
    ['coordinator/src/agents/agent-routes.ts', "url: '/api/v1/agents/work/lease'"],
    ['agent/src/a.ts', '// TODO(#12): later'],
    ['installer/install.sh', 'curl -fsSL https://example.org -o key'],
  ])('lets pass, in %s: %s', (name, text) => {
    expect(textViolations([{ path: name, text }])).toEqual([]);
  });
});

describe('docs/invariants.md', () => {
  const page = read('docs/invariants.md');

  it('names files that are there', () => {
    const named = [...page.matchAll(/`([\w./-]+\/[\w./-]+\.(?:ts|mjs))`/g)].map(([, name]) => name ?? '');
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter((name) => !paths.includes(name))).toEqual([]);
  });

  it('has a line with a test for every invariant', () => {
    const lines = page.split('\n');
    for (let number = 1; number <= 16; number += 1) {
      const line = lines.find((text) => text.startsWith(`| I${String(number)} |`)) ?? '';
      const tests = line.split('|').at(-2) ?? '';
      expect(tests, `I${String(number)}`).toMatch(/(\.test|-conformance)\.ts/);
    }
  });
});

describe('every package has a reason', () => {
  const manifests = [
    'package.json',
    'agent/package.json',
    'coordinator/package.json',
    'shared/package.json',
  ].map((name) => JSON.parse(read(name)) as Manifest);

  it('holds', () => {
    expect(undecidedDependencies(manifests, read('docs/decisions/dependencies.md'))).toEqual([]);
    expect(tooManyDependencies(manifests)).toEqual([]);
  });

  it('is seen to catch a package without one, a reason without a package, and an empty reason', () => {
    const decisions =
      '| package | why | else |\n| --- | --- | --- |\n| `old` | it was good | a loop |\n| `new` |  | x |\n';
    const manifest = {
      name: '@dc/agent',
      dependencies: { new: '1' },
      devDependencies: { unknown: '1', '@dc/shared': '1' },
    };
    expect(undecidedDependencies([manifest], decisions)).toEqual([
      'unknown: has no line in the decisions',
      'old: is not used any more; remove its line',
      'new: has an empty cell in its line',
    ]);
  });

  it('and the lock file has it for every platform', () => {
    expect(lockFileGaps(JSON.parse(read('package-lock.json')) as LockFile)).toEqual([]);
    const parser = { optionalDependencies: { 'parser-linux': '1', 'parser-darwin': '1' } };
    expect(
      lockFileGaps({ packages: { 'node_modules/parser': parser, 'node_modules/parser-linux': {} } }),
    ).toEqual(['package-lock.json: node_modules/parser needs parser-darwin, which is not in the file']);
  });

  it('is seen to catch a workspace with too many', () => {
    const dependencies = { a: '1', b: '1', c: '1', d: '1' };
    expect(tooManyDependencies([{ name: '@dc/shared', dependencies }])).toHaveLength(1);
    expect(tooManyDependencies([{ name: '@dc/agent', dependencies }])).toEqual([]);
    expect(tooManyDependencies([{ name: 'root', dependencies }])).toHaveLength(1);
  });
});
