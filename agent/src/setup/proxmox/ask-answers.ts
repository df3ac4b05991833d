/** Gathers the answers: from flags, from an earlier run, by asking, or because only one is possible. */
import { AppError } from '@dc/shared/errors';
import { assertAnswer, QUESTIONS, type KnownAnswers, type Question, type SetupFacts } from './answers.ts';
import type { SavedAnswers } from './saved-answers.ts';

/** Asks somebody. `check` says what is wrong with an answer. */
export interface Asker {
  ask(
    question: Question,
    options: {
      readonly choices: ReturnType<Question['choices']>;
      readonly preset: string | null;
      readonly check: (value: string) => string | undefined;
    },
  ): Promise<string>;
}

/** Where answers come from. */
export interface AskParts {
  readonly facts: SetupFacts;
  readonly flags: KnownAnswers;
  readonly saved: SavedAnswers;
  /** Null where nobody is there. */
  readonly asker: Asker | null;
  /** Told of each answer that was not asked for. */
  readonly onKnown: (message: string, value: string) => void;
  /** Whether answers are kept; a dry run keeps none. */
  readonly isKept: boolean;
}

/** All answers. COMMAND_USAGE where one is wrong, or where nobody can give it. */
export async function askAnswers(parts: AskParts): Promise<Required<KnownAnswers>> {
  const { facts, flags, saved, onKnown, isKept } = parts;
  const before = saved.read();
  const known: KnownAnswers = {};
  for (const question of QUESTIONS) {
    const { id, message } = question;
    const flag = flags[id];
    const old = before[id];
    if (flag !== undefined) assertAnswer(question, flag, facts, known);
    const isOldGood = old !== undefined && question.problem(old, facts, known) === undefined;
    const given = flag ?? (isOldGood ? old : undefined);
    if (given !== undefined) onKnown(message, given);
    known[id] = given ?? (await askOne(question, known, parts));
    if (isKept) saved.write({ ...before, ...known });
  }
  return known as Required<KnownAnswers>;
}

async function askOne(
  question: Question,
  known: KnownAnswers,
  { facts, asker, onKnown }: AskParts,
): Promise<string> {
  const preset = question.preset(facts, known);
  const check = (value: string): string | undefined => question.problem(value, facts, known);
  if (asker !== null) {
    const choices = question.choices(facts, known);
    if (question.kind !== 'text' && choices.length === 0) assertAnswer(question, '', facts, known);
    return asker.ask(question, { choices, preset, check });
  }
  if (preset === null)
    throw new AppError('COMMAND_USAGE', `--${question.id} is missing: ${question.message}`, {
      remedy: `Add --${question.id}, or run this on a terminal to be asked.`,
    });
  assertAnswer(question, preset, facts, known);
  onKnown(question.message, preset);
  return preset;
}
