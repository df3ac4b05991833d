/** PURE: the password that a saga makes. */
import { createHmac } from 'node:crypto';

/** Without what looks alike (0 O, 1 I l): somebody may have to type it at a console. */
const LETTERS = '23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const GROUPS = 4;
const GROUP_LENGTH = 6;

/**
 * 24 letters in four groups, some 140 bits. Made from the agent's key and the saga's secret: the journal alone does
 * not tell it, every try of the saga comes to the same one, and when the secret is forgotten nobody can make it again.
 */
export function makePassword(key: Uint8Array, secret: Uint8Array): string {
  const length = GROUPS * GROUP_LENGTH;
  let letters = '';
  for (let block = 0; letters.length < length; block += 1) {
    const bytes = createHmac('sha256', key)
      .update(`dc-password-v1\n${String(block)}\n`)
      .update(secret)
      .digest();
    // Bytes beyond the last whole multiple would make the first letters likelier.
    for (const byte of bytes) {
      if (byte < 256 - (256 % LETTERS.length)) letters += LETTERS[byte % LETTERS.length] ?? '';
    }
  }
  const groups = Array.from({ length: GROUPS }, (_, group) =>
    letters.slice(group * GROUP_LENGTH, (group + 1) * GROUP_LENGTH),
  );
  return groups.join('-');
}
