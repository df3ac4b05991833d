/** What a check of the doctor is: one look, and what it found. */

/** What a check found. A text alone means that all is well. */
export type Finding =
  string | { readonly severity: 'warning' | 'skipped'; readonly detail: string; readonly remedy?: string };

/** One look: what it found, or the AppError that it throws. */
export interface Check {
  readonly name: string;
  run(): Promise<Finding>;
}
