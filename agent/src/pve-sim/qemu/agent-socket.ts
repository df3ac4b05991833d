/** Speaks with the QEMU guest agent of a real guest, over the socket that QEMU connects to its port: one question at a time. */
import { createConnection, type Socket } from 'node:net';
import type { Clock } from '@dc/shared/clock';
import { randomFraction, type Random } from '@dc/shared/random';
import { AgentRefusal, AgentSilent } from '../guests/machine.ts';

const ANSWER_MS_MAX = 10_000; // A guest in software emulation that is busy booting takes seconds.
const SYNC_MS_MAX = 2_000;

interface Answer {
  readonly return?: unknown;
  readonly error?: { readonly desc?: string };
}

export class AgentSocket {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #random: Random;
  #queue: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(path: string, clock: Clock, random: Random) {
    this.#path = path;
    this.#clock = clock;
    this.#random = random;
  }

  /** Asks the agent; AgentSilent when nothing answers, AgentRefusal when it does not do it. */
  ask(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const asked = this.#queue.then(() => this.#ask(command, args));
    this.#queue = asked.catch(() => {}); // Told to whoever asked.
    return asked;
  }

  close(): void {
    this.#isClosed = true;
  }

  async #ask(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#isClosed) throw new AgentSilent('QEMU guest agent is not running');
    const line = await Line.open(this.#path, this.#clock);
    try {
      const id = Math.floor(randomFraction(this.#random) * 2 ** 31);
      // 0xFF ends whatever half a question an earlier client left; what answers before our number is not for us.
      line.send(Buffer.concat([Buffer.from([0xff]), question('guest-sync-delimited', { id })]));
      while ((await line.read(SYNC_MS_MAX)).return !== id);
      line.send(question(command, args));
      const answer = await line.read(ANSWER_MS_MAX);
      if (answer.error !== undefined) throw new AgentRefusal(answer.error.desc ?? 'unknown error');
      return answer.return;
    } finally {
      line.close();
    }
  }
}

function question(execute: string, args: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(
    `${JSON.stringify({ execute, ...(Object.keys(args).length === 0 ? {} : { arguments: args }) })}\n`,
  );
}

/** A connection that answers line by line. */
class Line {
  readonly #socket: Socket;
  readonly #clock: Clock;
  #buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #hasEnded = false;

  private constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
    socket.on('data', (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    const end = (): void => {
      this.#hasEnded = true;
      this.#wake();
    };
    socket.once('close', end).on('error', end);
  }

  static async open(path: string, clock: Clock): Promise<Line> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', () => reject(new AgentSilent('QEMU guest agent is not running')));
    });
    return new Line(socket, clock);
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  async read(timeoutMs: number): Promise<Answer> {
    const until = this.#clock.monotonic() + timeoutMs;
    for (;;) {
      const at = this.#buffer.indexOf(0x0a);
      if (at >= 0) {
        const text = this.#buffer.subarray(0, at).toString('utf8').replaceAll('\ufffd', '').trim();
        this.#buffer = this.#buffer.subarray(at + 1);
        if (text !== '') return JSON.parse(text) as Answer;
        continue;
      }
      const leftMs = until - this.#clock.monotonic();
      if (this.#hasEnded || leftMs <= 0) throw new AgentSilent('QEMU guest agent is not running');
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.schedule(leftMs, resolve);
        this.#wake = () => {
          cancel();
          resolve();
        };
      });
    }
  }
}
