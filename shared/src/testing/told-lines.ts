/** Lines that a passed test wants in the output of a run: how much was tried. scripts/told-lines-reporter.ts prints them. */
import type { TaskMeta } from 'vitest';

declare module 'vitest' {
  interface TaskMeta {
    told?: readonly string[];
  }
}

/** Leaves lines for the output; `task` is what vitest hands to the test. */
export function tellLines({ meta }: { meta: TaskMeta }, lines: readonly string[]): void {
  meta.told = lines;
}

/** What a test left. */
export const readLines = (meta: TaskMeta): readonly string[] => meta.told ?? [];
