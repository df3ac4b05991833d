/** Asks on a terminal, with lists to choose from. Ctrl-C ends the set-up; what was answered is kept. */
import { AppError } from '@dc/shared/errors';
import type { Asker } from './ask-answers.ts';
import { listOf } from './answers.ts';

/** The answer, or the end where Ctrl-C was pressed. */
function unlessCancelled<T>(answer: T): Exclude<T, symbol> {
  if (typeof answer === 'symbol')
    throw new AppError('SETUP_STEP_FAILED', 'The set-up was ended.', {
      remedy: 'Nothing is lost: run it again, and it goes on here.',
    });
  return answer as Exclude<T, symbol>;
}

/** Asks by lists and lines. */
export async function terminalAsker(): Promise<Asker> {
  const { log, multiselect, select, text } = await import('@clack/prompts');
  return {
    async ask({ message, kind }, { choices, preset, check }) {
      const options = choices.map(({ value, hint }) => ({
        value,
        label: value,
        ...(hint === '' ? {} : { hint }),
      }));
      if (kind === 'one') {
        const initialValue = preset ?? options[0]?.value ?? '';
        for (;;) {
          const answer = unlessCancelled(await select({ message, options, initialValue }));
          const problem = check(answer);
          if (problem === undefined) return answer;
          // A list has no line for what is wrong with a choice.
          log.error(problem);
        }
      }
      if (kind === 'several') {
        const initialValues = listOf(preset ?? '').filter((value) =>
          choices.some((choice) => choice.value === value),
        );
        return unlessCancelled(await multiselect({ message, options, initialValues, required: true })).join(
          ',',
        );
      }
      return unlessCancelled(
        await text({
          message,
          ...(preset === null ? {} : { initialValue: preset }),
          validate: (value) => check(value?.trim() ?? ''),
        }),
      ).trim();
    },
  };
}

/** Yes or no; no where Ctrl-C was pressed. */
export async function confirmOnTerminal(message: string): Promise<boolean> {
  const { confirm, isCancel } = await import('@clack/prompts');
  const answer = await confirm({ message });
  return !isCancel(answer) && answer;
}

/** A line that is not shown. */
export async function secretOnTerminal(message: string): Promise<string> {
  const { password } = await import('@clack/prompts');
  return unlessCancelled(await password({ message }));
}
