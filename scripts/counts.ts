/**
 * Counts of tests: read from vitest's JSON report, added up, and put into the last line of `npm test`.
 */

/** How many tests passed, failed and were skipped. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Nothing ran. */
export const NO_COUNTS: Counts = { passed: 0, failed: 0, skipped: 0 };

/** The sum of two counts. */
export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

interface VitestReport {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

/**
 * Counts a run of vitest. `report` is its JSON report, null when it left none; `exitCode` is null when a signal ended
 * it. What fails outside a test counts too: a file that could not be loaded, an error that nobody caught, a crash.
 */
export function countVitestRun(report: string | null, exitCode: number | null): Counts {
  const files = report === null ? [] : (JSON.parse(report) as VitestReport).testResults;
  let counts = NO_COUNTS;
  for (const file of files) {
    const statuses = file.assertionResults.map((test) => test.status);
    const passed = statuses.filter((status) => status === 'passed').length;
    const failed = statuses.filter((status) => status === 'failed').length;
    const isBrokenOutside = file.status === 'failed' && failed === 0;
    counts = addCounts(counts, {
      passed,
      failed: failed + (isBrokenOutside ? 1 : 0),
      skipped: statuses.length - passed - failed,
    });
  }
  return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** The last line of `npm test`. */
export function renderCounts({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
