/** What was answered, kept beside the configuration, so that a set-up that was killed at a question goes on there. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeFileAtomically } from '../../lib/write-file.ts';
import { QUESTIONS, type KnownAnswers } from './answers.ts';

/** The file of one set-up. */
export class SavedAnswers {
  readonly #file: string;

  /** `output` is the configuration that set-up is to write. */
  constructor(output: string) {
    this.#file = join(dirname(output), 'setup-proxmox.json');
  }

  /** Nothing where there is no file, or one that cannot be read: then everything is asked again. */
  read(): KnownAnswers {
    if (!existsSync(this.#file)) return {};
    let found: unknown;
    try {
      found = JSON.parse(readFileSync(this.#file, 'utf8'));
    } catch {
      return {}; // Not ours, or damaged: asking again is all that it costs.
    }
    const entries = typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : {};
    return Object.fromEntries(
      QUESTIONS.flatMap(({ id }) => (typeof entries[id] === 'string' ? [[id, entries[id]]] : [])),
    );
  }

  write(answers: KnownAnswers): void {
    mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
    writeFileAtomically(this.#file, `${JSON.stringify(answers, null, 2)}\n`);
  }
}
