/** What a check of the doctor is, and how its result looks. */
import { isAppError } from '@dc/shared/errors';
import type { Check } from '../lib/check.ts';
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

/** Checks that are known only when those before them have run. */
export interface CheckGroup {
  readonly name: string;
  /** Throws an AppError where none of them can be made: that is then the finding. */
  open(): Promise<{ readonly checks: readonly Check[]; close(): Promise<void> }>;
}

/** Runs checks one after another: what one finds may be why the next one fails. */
export async function runChecks(
  entries: readonly (Check | CheckGroup)[],
  signal: AbortSignal,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const entry of entries) {
    if ('run' in entry) results.push(await runCheck(entry, signal));
    else results.push(...(await runGroup(entry, signal)));
  }
  return results;
}

async function runGroup(entry: CheckGroup, signal: AbortSignal): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  const opening = await runCheck(
    {
      name: entry.name,
      run: async () => {
        const group = await entry.open();
        try {
          for (const check of group.checks) results.push(await runCheck(check, signal));
        } finally {
          await group.close();
        }
        return '';
      },
    },
    signal,
  );
  return opening.severity === 'failure' ? [...results, opening] : results;
}

async function runCheck(check: Check, signal: AbortSignal): Promise<CheckResult> {
  const { name } = check;
  const fine = { name, remedy: null, code: null, exit_code: 0 };
  if (signal.aborted) return { ...fine, severity: 'skipped', detail: 'Not looked at: it was interrupted.' };
  try {
    const found = await check.run();
    if (typeof found === 'string') return { ...fine, severity: 'ok', detail: found };
    return { ...fine, severity: found.severity, detail: found.detail, remedy: found.remedy ?? null };
  } catch (error) {
    if (!isAppError(error)) throw error;
    if (error.code === 'SAGA_ABORTED') return { ...fine, severity: 'skipped', detail: 'It was interrupted.' };
    const { code, message: detail, remedy } = error;
    return { name, severity: 'failure', detail, remedy, code, exit_code: exitCodeOf(error) };
  }
}
