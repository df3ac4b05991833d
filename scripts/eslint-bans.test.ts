/** Each ban is seen to catch what it forbids, and to let pass what stands where it may. */
import { Linter } from 'eslint';
import tseslint from 'typescript-eslint';
import { describe, expect, it } from 'vitest';
import { dcPlugin } from './eslint-bans.mjs';

const SLICE = 'coordinator/src/contracts/contract-service.ts';
const linter = new Linter({ cwd: '/repository' });

function lint(code: string, file = SLICE): string[] {
  const rules = { 'dc/ban': 'error', 'dc/disable-reason': 'error', 'dc/skip-reason': 'error' } as const;
  const config: Linter.Config = {
    files: ['**/*.ts'],
    languageOptions: { parser: tseslint.parser },
    plugins: { dc: dcPlugin },
    rules,
  };
  return linter.verify(code, config, { filename: `/repository/${file}` }).map(({ message }) => message);
}

const BANNED: readonly (readonly [rule: string, code: string, whereItMay: string | null])[] = [
  ['the environment', 'use(process.env.HOME);', 'agent/src/config/load-config.ts'],
  ['the environment, destructured', 'const { env } = process;', 'agent/src/config/load-config.ts'],
  ['the environment, imported', "import { env } from 'node:process';", 'agent/src/config/load-config.ts'],
  ['ending the process', 'process.exit(1);', 'agent/src/main.ts'],
  ['child_process', "import { spawn } from 'node:child_process';", 'e2e/start.ts'],
  ['execa', "import { execa } from 'execa';", 'agent/src/lib/run-command.ts'],
  ['the time of day', 'use(Date.now());', 'agent/src/lib/system-clock.ts'],
  ['the time of day by a date', 'use(new Date());', 'agent/src/lib/system-clock.ts'],
  ['the time of day as a text', 'use(Date());', 'agent/src/lib/system-clock.ts'],
  ['the monotonic clock', 'use(performance.now());', 'agent/src/lib/system-clock.ts'],
  ['the high-resolution clock', 'use(process.hrtime.bigint());', 'agent/src/lib/system-clock.ts'],
  ['timers', 'setTimeout(work, 5);', 'coordinator/src/web/browser/countdown.ts'],
  ['timers of the global object', 'globalThis.setTimeout(work, 5);', 'agent/src/lib/system-clock.ts'],
  ['imported timers', "import { setTimeout } from 'node:timers/promises';", 'agent/src/lib/system-clock.ts'],
  ['abort signals with a timer', 'use(AbortSignal.timeout(5));', 'agent/src/lib/system-clock.ts'],
  ['Math.random', 'use(Math.random());', 'agent/src/lib/system-random.ts'],
  ['random bytes', "import { randomBytes } from 'node:crypto';", 'agent/src/lib/system-random.ts'],
  ['random ids', 'use(crypto.randomUUID());', 'agent/src/lib/system-random.ts'],
  ['printing', "console.log('hello');", 'coordinator/src/main.ts'],
  ['TLS without verification', 'connect({ rejectUnauthorized: false });', null],
  ['TLS verification as a variable', 'connect({ rejectUnauthorized: isStrict });', null],
  ['TLS verification by the environment', "set('NODE_TLS_REJECT_UNAUTHORIZED', '0');", null],
  ['ssh to whatever host answers', "client.connect({ host: 'a', username: 'b' });", null],
  ['module mocks', "vi.mock('./ledger.ts');", null],
  ['default exports', 'export default function pay() {}', 'knip.config.ts'],
  ['default exports by name', 'const pay = 1; export { pay as default };', 'knip.config.ts'],
];

describe('what only one place may do', () => {
  it.each(BANNED)('catches %s', (_rule, code, whereItMay) => {
    expect(lint(code)).toHaveLength(1);
    if (whereItMay !== null) expect(lint(code, whereItMay)).toEqual([]);
  });

  it('lets a date that is given a time pass, and an ssh client that verifies its host', () => {
    expect(lint('use(new Date(atMs));')).toEqual([]);
    expect(lint("client.connect({ host: 'a', username: 'b', hostVerifier });")).toEqual([]);
    expect(lint('connect({ rejectUnauthorized: true });')).toEqual([]);
  });

  it('lets tests read the clock, but not mock modules', () => {
    expect(lint('use(Date.now());', 'agent/src/lib/backoff.test.ts')).toEqual([]);
    expect(lint("vi.mock('./a.ts');", 'agent/src/lib/backoff.test.ts')).toHaveLength(1);
  });
});

describe('reasons', () => {
  it('are asked of every eslint-disable', () => {
    expect(lint('// eslint-disable-next-line no-empty\nuse(1);')).toContain('Say why, after " -- ".');
    expect(lint('// eslint-disable-next-line no-empty -- the parser wants it\nuse(1);')).not.toContain(
      'Say why, after " -- ".',
    );
  });

  it('are asked of every skipped test', () => {
    expect(lint("it.skip('pays', () => {});")).toHaveLength(1);
    expect(lint("describe.skipIf(isAlpine)('ssh', () => {});")).toHaveLength(1);
    expect(lint("// Alpine has no ssh.\ndescribe.skipIf(isAlpine)('ssh', () => {});")).toEqual([]);
  });
});
