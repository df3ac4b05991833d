/**
 * A reporter for vitest that prints, at the end of a run, what passed tests want to be read: how much was tried, table
 * by table. Everything else that a passed test prints stays out of the way.
 */
import { readLines } from '@dc/shared/testing/told-lines';
import type { Reporter, TestModule } from 'vitest/node';

/** Prints what was told by every test that passed. */
// eslint-disable-next-line dc/ban -- vitest takes the default export of a reporter's file
export default class ToldLinesReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests('passed')) {
        for (const line of readLines(test.meta())) process.stdout.write(`${line}\n`);
      }
    }
  }
}
