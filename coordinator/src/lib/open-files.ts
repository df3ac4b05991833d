/** How many files and connections the system lets this process hold. */
import { readFileSync } from 'node:fs';

/** The limit of open files, which Node raises as far as it may when it starts. Null where nobody says (not Linux). */
export function openFilesMax(): number | null {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return null; // Not Linux: there the limit is rarely the first thing to run out.
  }
  const soft = /^Max open files\s+([0-9]+)/m.exec(limits)?.[1];
  return soft === undefined ? null : Number(soft);
}
