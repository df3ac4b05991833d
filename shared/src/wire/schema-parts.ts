/** The pieces that all wire schemas are made of. Objects are closed: an unknown field is an error (PROTOCOL.md). */
import { Type, type Static, type TProperties } from 'typebox';
import { PUBLIC_KEY_PATTERN } from '../crypto/public-key.ts';
import { UUID_V7_PATTERN } from '../ids.ts';

/** An object that takes no other members. */
export const closed = <P extends TProperties>(properties: P, options: { description?: string } = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });

/** `schema` or null. */
export const nullable = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) =>
  Type.Union([schema, Type.Null()]);

export const Uuid = Type.String({ pattern: UUID_V7_PATTERN, description: 'UUIDv7' });
export const PublicKey = Type.String({
  pattern: PUBLIC_KEY_PATTERN,
  description: 'Raw Ed25519 public key in lower-case hex',
});
export const Timestamp = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$',
  description: 'RFC 3339, UTC, milliseconds',
});
export const CompactJws = Type.String({
  pattern: '^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$',
  maxLength: 16_384,
});

export const MoneySchema = closed({
  amount_e9s: Type.String({ pattern: '^(0|-?[1-9][0-9]{0,18})$', description: 'Integer nano-units (1e-9)' }),
  currency: Type.String({ pattern: '^[A-Z][A-Z0-9]{2,9}$' }),
});

// C0, DEL, C1, the separators of lines and paragraphs, and what turns the direction of a text around.
const CONTROLS = '\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069';
export const PLAIN_TEXT_PATTERN = `^[^\\u0000-\\u001f${CONTROLS}]*$`;
export const PLAIN_LINES_PATTERN = `^[^\\u0000-\\u0009\\u000b-\\u001f${CONTROLS}]*$`;

interface TextOptions {
  minLength?: number;
  maxLength: number;
  description?: string;
}

/** A free text that people see, in one line: nothing in it acts on a terminal or a page, or hides the rest. */
export const plainText = (options: TextOptions) => Type.String({ ...options, pattern: PLAIN_TEXT_PATTERN });

/** The same, of several lines. */
export const plainLines = (options: TextOptions) => Type.String({ ...options, pattern: PLAIN_LINES_PATTERN });

/** A text from elsewhere (an error's, say) as `plainText` takes it: shortened, with spaces for what it does not take. */
export const toPlainText = (text: string, maxLength: number): string =>
  text.slice(0, maxLength).replaceAll(new RegExp(`[\\u0000-\\u001f${CONTROLS}]+`, 'gu'), ' ');

/** RFC 9457. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    code: Type.String({ description: 'Stable code, see docs/errors.md' }),
    remedy: Type.String({ description: 'What the caller can do' }),
    trace_id: Type.String(),
    errors: Type.Optional(Type.Array(closed({ pointer: Type.String(), detail: Type.String() }))),
    server_time: Type.Optional(Type.String()),
  },
  { additionalProperties: true, $id: 'Problem' },
);
export type WireProblem = Static<typeof Problem>;

/** A page of a list. */
export const listOf = <S extends Parameters<typeof Type.Array>[0]>(item: S) =>
  closed({ items: Type.Array(item), next_cursor: nullable(Type.String()) });

/** The query of a list. */
export const ListQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
  cursor: Type.Optional(Type.String({ maxLength: 200 })),
};

/** A time as it goes over the wire. */
export const toTimestamp = (ms: number): string => new Date(ms).toISOString();
