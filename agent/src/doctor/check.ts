/** What a check of the doctor is, and how its result looks. */
import { isAppError } from '@dc/shared/errors';
import { exitCodeOf } from '../lib/exit-code.ts';

export type Severity = 'ok' | 'warning' | 'failure' | 'skipped';

/** The form of one entry of `doctor --json`; stable. */
export interface CheckResult {
  readonly name: string;
  readonly severity: Severity;
  /** What is, in one sentence. */
  readonly detail: string;
  /** What to do; null where nothing needs doing. */
  readonly remedy: string | null;
  readonly code: string | null;
  /** What a failure means for the exit code. */
  readonly exit_code: number;
}

/** One look: what it found, or what it throws. */
export interface Check {
  readonly name: string;
  run(): Promise<Finding>;
}

/** What a check found. A text alone means that all is well. */
export type Finding =
  string | { readonly severity: 'warning' | 'skipped'; readonly detail: string; readonly remedy?: string };

/** Runs checks one after another: what one finds may be why the next one fails. */
export async function runChecks(checks: readonly Check[]): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of checks) results.push(await runCheck(check));
  return results;
}

async function runCheck(check: Check): Promise<CheckResult> {
  const { name } = check;
  try {
    const found = await check.run();
    const fine = { name, remedy: null, code: null, exit_code: 0 };
    if (typeof found === 'string') return { ...fine, severity: 'ok', detail: found };
    return { ...fine, severity: found.severity, detail: found.detail, remedy: found.remedy ?? null };
  } catch (error) {
    if (!isAppError(error)) throw error;
    const { code, message: detail, remedy } = error;
    return { name, severity: 'failure', detail, remedy, code, exit_code: exitCodeOf(error) };
  }
}
