/**
 * Why a contract is where it is, as an agent knows it: what `dc-agent why` prints and, from the agent's heartbeat,
 * the provider's page shows. Both are made of the same rows, so that they say the same.
 */
import { Type, type Static } from 'typebox';
import { closed, nullable, plainText, Timestamp, Uuid } from './schema-parts.ts';

/** The longest sentence of an explanation. */
export const EXPLANATION_TEXT_MAX = 500;
const Text = plainText({ maxLength: EXPLANATION_TEXT_MAX });
const Name = plainText({ maxLength: 128 });

/** One try of one step. */
export const Attempt = closed({
  at: Timestamp,
  saga: Name,
  saga_id: Name,
  step: Name,
  undo: Type.Boolean(),
  attempt: Type.Integer(),
  outcome: Type.Enum(['succeeded', 'failed', 'unknown'], {
    description: '`unknown`: it began, and its end was never recorded',
  }),
  code: nullable(Name),
  detail: nullable(Text),
});
export type WireAttempt = Static<typeof Attempt>;

export const Explanation = closed({
  contract_id: Uuid,
  desired: Text,
  observed: Text,
  next_step: Text,
  blocked_by: nullable(closed({ code: Name, text: Text, remedy: Text })),
  since: nullable(Timestamp),
  last_attempts: Type.Array(Attempt, { maxItems: 20 }),
  command: nullable(Text),
});
export type WireExplanation = Static<typeof Explanation>;

/** The explanation in rows of a name and a text, in order. Pure. */
export function explanationRows(explanation: WireExplanation): (readonly [name: string, text: string])[] {
  const { blocked_by: blocked, since, command } = explanation;
  return [
    ['contract', explanation.contract_id],
    ['wanted', explanation.desired],
    ['there is', explanation.observed],
    ['next', explanation.next_step],
    ...(blocked === null ? [] : [['blocked by', `${blocked.text} [${blocked.code}]`] as const]),
    ...(blocked === null || since === null ? [] : [['since', since] as const]),
    ...(blocked === null ? [] : [['what to do', blocked.remedy] as const]),
    ...(command === null ? [] : [['command', command] as const]),
  ];
}

/** One try in cells: when, what, which, how it ended, and why. Pure. */
export function attemptCells(attempt: WireAttempt): readonly string[] {
  return [
    attempt.at,
    `${attempt.undo ? 'undo of ' : ''}${attempt.saga}/${attempt.step}`,
    `try ${String(attempt.attempt)} of ${attempt.saga_id}`,
    attempt.outcome,
    attempt.code === null ? '' : `${attempt.detail ?? ''} [${attempt.code}]`,
  ];
}
