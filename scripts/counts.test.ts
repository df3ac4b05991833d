/** The counts that `npm test` ends with tell the truth about every way in which a run can fail. */
import { describe, expect, it } from 'vitest';
import { addCounts, countVitestRun, NO_COUNTS, renderCounts } from './counts.ts';

const report = (...files: { status: string; tests: string[] }[]): string =>
  JSON.stringify({
    testResults: files.map(({ status, tests }) => ({
      status,
      assertionResults: tests.map((test) => ({ status: test })),
    })),
  });

describe('countVitestRun', () => {
  it('adds up the tests of all files', () => {
    const text = report(
      { status: 'passed', tests: ['passed', 'passed'] },
      { status: 'failed', tests: ['passed', 'failed', 'pending', 'todo', 'skipped'] },
    );
    expect(countVitestRun(text, 1)).toEqual({ passed: 3, failed: 1, skipped: 3 });
  });

  it('counts a file that could not be loaded as a failure', () => {
    expect(countVitestRun(report({ status: 'failed', tests: [] }), 1)).toEqual({
      passed: 0,
      failed: 1,
      skipped: 0,
    });
  });

  it('counts an error that nobody caught as a failure, though every test passed', () => {
    const text = report({ status: 'passed', tests: ['passed'] });
    expect(countVitestRun(text, 1)).toEqual({ passed: 1, failed: 1, skipped: 0 });
  });

  it('counts a crash that left no report as a failure', () => {
    expect(countVitestRun(null, null)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(countVitestRun(null, 134)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  it('finds nothing wrong with a run without tests that ended well', () => {
    expect(countVitestRun(report(), 0)).toEqual(NO_COUNTS);
  });
});

describe('renderCounts', () => {
  it('names skipped tests only where there are some', () => {
    expect(renderCounts({ passed: 12, failed: 0, skipped: 0 })).toBe('12 passed, 0 failed');
    expect(renderCounts({ passed: 1, failed: 2, skipped: 3 })).toBe('1 passed, 2 failed, 3 skipped');
  });
});

describe('addCounts', () => {
  it('adds each of the three', () => {
    expect(addCounts({ passed: 1, failed: 2, skipped: 3 }, { passed: 10, failed: 20, skipped: 30 })).toEqual({
      passed: 11,
      failed: 22,
      skipped: 33,
    });
  });
});
