/**
 * The test lanes as vitest projects; `scripts/test.ts` runs them one after another. Nothing is retried: a test that
 * fails now and then is a bug. `@dc/shared/*` needs no alias: the package's exports map names its TypeScript sources.
 */
import { configDefaults, defineConfig } from 'vitest/config';

/** Tests with real virtual machines are a lane of their own. */
const exclude = [...configDefaults.exclude, '**/*.qemu.test.ts'];

export default defineConfig({
  test: {
    retry: 0,
    silent: 'passed-only',
    reporters: ['default', './scripts/told-lines-reporter.ts'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{agent,coordinator,shared}/src/**/*.test.ts', 'scripts/**/*.test.ts'],
          // Ends what hangs, and nothing else: on a busy machine, writes that are flushed take their time.
          testTimeout: 30_000,
          hookTimeout: 30_000,
          exclude,
        },
      },
      {
        // Real processes and real logins: each file has the machine to itself, and 2 slow cores are enough.
        test: {
          name: 'e2e',
          include: ['e2e/*.test.ts', 'e2e/simulation/*.test.ts', 'installer/**/*.test.ts'],
          exclude,
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        // Real virtual machines and clients of other languages: slow, and what they need is installed where it may be.
        test: {
          name: 'machines',
          include: ['{agent/src,e2e}/**/*.qemu.test.ts'],
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 540_000,
        },
      },
      {
        test: {
          name: 'browser',
          include: ['e2e/browser/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
