/** What is wrong with a body, in words: bodies are JSON in UTF-8, as they are, and of ordinary members. */
import type { IncomingHttpHeaders } from 'node:http';

/** Why a body with these headers is not taken, or null. */
export function findUnsupported(headers: IncomingHttpHeaders): string | null {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity')
    return 'The body is taken as it is, without a Content-Encoding.';
  const [, charset] = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(headers['content-type'] ?? '') ?? [];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) return 'The body is taken in UTF-8 only.';
  return null;
}

/** Why a text was refused as JSON. */
export function describeUnreadable(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return 'The body is not JSON.';
  }
  return 'The body has a member of a name that has a meaning of its own in JavaScript (__proto__, constructor.prototype).';
}
