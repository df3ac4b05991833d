/** What the operator's commands may ask of the running agent, one line of JSON each way. */
import { Type, type Static } from 'typebox';
import { Timestamp } from '@dc/shared/wire/schema-parts';
import type { WireExplanation } from '@dc/shared/wire/explanation';
import { ERRORS, type ErrorCode } from '@dc/shared/errors';

const closed = { additionalProperties: false };

export const ControlRequestSchema = Type.Union([
  Type.Object(
    { command: Type.Literal('confirm'), saga_ids: Type.Array(Type.String({ maxLength: 64 })) },
    closed,
  ),
  Type.Object(
    {
      command: Type.Literal('availability'),
      draining: Type.Optional(Type.Boolean()),
      maintenance_until: Type.Optional(Type.Union([Timestamp, Type.Null()])),
    },
    closed,
  ),
  Type.Object(
    {
      command: Type.Literal('reset_password'),
      contract_id: Type.String({ minLength: 1, maxLength: 64 }),
    },
    closed,
  ),
  Type.Object(
    { command: Type.Literal('why'), contract_id: Type.String({ minLength: 1, maxLength: 64 }) },
    closed,
  ),
  Type.Object(
    { command: Type.Literal('destroy_orphan'), id: Type.String({ minLength: 1, maxLength: 512 }) },
    closed,
  ),
]);
export type ControlRequest = Static<typeof ControlRequestSchema>;

/** How many it was done to, what was asked for, or why not. */
export type ControlAnswer =
  | { readonly done: number; readonly explanation?: WireExplanation }
  | { readonly error: { readonly code: ErrorCode; readonly detail: string; readonly remedy: string } };

export const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);
