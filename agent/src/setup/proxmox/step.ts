/**
 * What set-up is made of: steps that look first, say what they would do, do it, and look again. What is done stands on
 * the host itself, never in a record of ours, so that a set-up that was killed anywhere is simply started again.
 */
import { AppError } from '@dc/shared/errors';

/** One thing to do. */
export interface Action {
  /** The command, or what happens, as the plan shows it. */
  readonly line: string;
  run(): Promise<unknown>;
}

/** How a step finds the world. */
export interface Finding {
  /** In one line. */
  readonly detail: string;
  /** What is missing. Nothing: the step is done. */
  readonly actions: readonly Action[];
}

/** One part of the set-up. */
export interface Step {
  readonly title: string;
  /** Looks; changes nothing. Throws where there is something in the way that only the operator can remove. */
  find(): Promise<Finding>;
  /** Whether its actions can only be known once the steps before it are done; the plan shows its title then. */
  readonly needsEarlier?: boolean;
}

/** Told how it goes, for people. */
export interface StepReport {
  onDone(title: string, detail: string): void;
  onPlanned(title: string, lines: readonly string[]): void;
  onAction(title: string, line: string): void;
}

/** Shows what would be done, and does nothing. Answers whether there is anything. */
export async function planSteps(steps: readonly Step[], report: StepReport): Promise<boolean> {
  let isAnything = false;
  for (const step of steps) {
    if (step.needsEarlier === true && isAnything) {
      report.onPlanned(step.title, []);
      continue;
    }
    const { detail, actions } = await step.find();
    if (actions.length === 0) report.onDone(step.title, detail);
    else
      report.onPlanned(
        step.title,
        actions.map(({ line }) => line),
      );
    isAnything ||= actions.length > 0;
  }
  return isAnything;
}

/** Does them in order. SETUP_STEP_FAILED where a step is not done after it was done. */
export async function runSteps(steps: readonly Step[], report: StepReport): Promise<void> {
  for (const step of steps) {
    const { detail, actions } = await step.find();
    if (actions.length === 0) {
      report.onDone(step.title, detail);
      continue;
    }
    for (const action of actions) {
      report.onAction(step.title, action.line);
      await action.run();
    }
    const after = await step.find();
    if (after.actions.length > 0)
      throw new AppError(
        'SETUP_STEP_FAILED',
        `${step.title}: ${after.detail}, after everything was done for it.`,
      );
    report.onDone(step.title, after.detail);
  }
}
