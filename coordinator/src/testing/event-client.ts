/** Reads server-sent events over a real socket, as a browser or an agent does. */
import { request, type IncomingMessage } from 'node:http';
import { onTestFinished } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import { until, type TestCoordinator } from './test-coordinator.ts';

export interface ReceivedEvent {
  event: string;
  id: string | null;
  /** Parsed. */
  data: unknown;
}

/** A stream that was opened. */
export class EventClient {
  readonly status: number;
  readonly events: ReceivedEvent[] = [];
  /** What came before the first event, and an answer that is no stream. */
  text = '';
  isClosed = false;
  readonly #response: IncomingMessage;

  constructor(response: IncomingMessage) {
    this.#response = response;
    this.status = response.statusCode ?? 0;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.#read(chunk));
    response.on('close', () => (this.isClosed = true));
    response.on('error', () => undefined); // Closing says it too.
  }

  /** Waits for event number `count`, from 1, and returns it. */
  async event(count: number): Promise<ReceivedEvent> {
    await until(() => this.events.length >= count, `event ${String(count)}`);
    return this.events[count - 1] as ReceivedEvent;
  }

  leave(): void {
    this.#response.destroy();
  }

  #read(chunk: string): void {
    this.text += chunk;
    const blocks = this.text.split('\n\n');
    this.text = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string): string | null =>
        new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? null;
      const data = field('data');
      if (data !== null)
        this.events.push({ event: field('event') ?? '', id: field('id'), data: JSON.parse(data) });
    }
  }
}

/** The address at which a coordinator listens; it begins to when asked for the first time. */
const addresses = new WeakMap<TestCoordinator, Promise<{ url: string }>>();

/** Opens the stream at `path` (below `/api/v1`), signed by `key`. */
export async function openEvents(
  coordinator: TestCoordinator,
  path: string,
  { key, lastEventId }: { key: SigningKey; lastEventId?: string },
): Promise<EventClient> {
  const address = addresses.get(coordinator) ?? coordinator.listen();
  addresses.set(coordinator, address);
  const headers = {
    ...coordinator.client.sign('GET', path, '', key),
    host: new URL(coordinator.context.config.publicUrl).host,
    accept: 'text/event-stream',
    ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
  };
  const asking = request(`${(await address).url}/api/v1${path}`, { headers, agent: false });
  onTestFinished(() => void asking.destroy());
  return new Promise((resolve, reject) => {
    asking.on('response', (response) => resolve(new EventClient(response)));
    asking.on('error', reject);
    asking.end();
  });
}
