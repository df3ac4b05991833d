/** Takes a server-sent event stream apart as it comes in (WHATWG HTML, "Server-sent events"). Pure. */
import { AppError } from '@dc/shared/errors';
import type { StreamEvent } from './coordinator.ts';

/** One line or one event of a stream of nudges is short; a longer one is not from a coordinator. */
const PART_CHARS_MAX = 65_536;

/** Feed it text in pieces of any size; it calls `onEvent` for every complete event. */
export class SseParser {
  readonly #onEvent: (event: StreamEvent) => void;
  #rest = '';
  #name = '';
  #data: string[] = [];
  #dataChars = 0;

  constructor(onEvent: (event: StreamEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** Throws RESPONSE_INVALID where a line or an event grows beyond all measure. */
  push(text: string): void {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > PART_CHARS_MAX) throw tooLong();
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return; // A comment: a sign of life, nothing more.
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#name = value;
    if (field === 'data') {
      this.#dataChars += value.length;
      if (this.#dataChars > PART_CHARS_MAX) throw tooLong();
      this.#data.push(value);
    }
  }

  #dispatch(): void {
    const event = { name: this.#name === '' ? 'message' : this.#name, data: this.#data.join('\n') };
    const isEmpty = this.#data.length === 0 && this.#name === '';
    this.#name = '';
    this.#data = [];
    this.#dataChars = 0;
    // By the letter, an event without data is dropped. Ours carries its meaning in the name.
    if (!isEmpty) this.#onEvent(event);
  }
}

const tooLong = (): AppError =>
  new AppError('RESPONSE_INVALID', 'The stream sends more in one piece than a stream of nudges has.');
