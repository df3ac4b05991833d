/** Listens to the coordinator's nudges. Only an accelerator: with the stream cut, the poll does the same later. */
import { isAppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { Coordinator } from '../coordinator-client/coordinator.ts';
import { jittered } from '../lib/backoff.ts';
import type { Log } from '../lib/log.ts';
import type { Turn } from '../lib/loop.ts';
import type { Contact } from './contact.ts';

/** After a stream that worked: at once, but not with every other agent that the same restart has cut off. */
const RECONNECT_MS = 600;

export interface StreamParts {
  readonly coordinator: Coordinator;
  readonly contact: Contact;
  readonly random: Random;
  readonly log: Log;
  /** Called when there may be work. */
  readonly onWork: () => void;
  /** Called when the coordinator is there again: whatever waits for its next try need not. */
  readonly onBack: () => void;
}

export class StreamLoop {
  readonly #parts: StreamParts;
  #isUp = false;

  constructor(parts: StreamParts) {
    this.#parts = parts;
  }

  /** Whether nudges arrive. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** One stream, from its beginning to its end. */
  readonly turn: Turn = async (signal) => {
    const { coordinator, contact, random, log, onWork, onBack } = this.#parts;
    let hasWorked = false;
    try {
      await coordinator.readStream(({ name }) => {
        contact.seen();
        if (!hasWorked) log.info({}, 'stream.opened');
        hasWorked = this.#isUp = true;
        // `hello` too: there may have been work while nobody listened.
        if (name === 'work' || name === 'hello') onWork();
        if (name === 'hello') onBack();
      }, signal);
    } catch (error) {
      if (!hasWorked || !isAppError(error) || signal.aborted) throw error;
      log.info({ code: error.code, detail: error.message }, 'stream.broken');
    } finally {
      this.#isUp = false;
      if (hasWorked && !signal.aborted) onWork(); // The poll goes faster from now on: it must learn that.
    }
    return jittered(RECONNECT_MS, random, 2 / 3);
  };
}
