/**
 * The contract as it changes: by server-sent events where they work, by asking again where they do not. The stream
 * only accelerates: now and then the page asks all the same, in case something between holds events back.
 */
import type { WireContract } from '@dc/shared/wire/contract';
import { ApiError, callApi } from './api.ts';

/** How the page hears of changes now. */
export type FeedState = 'live' | 'reconnecting' | 'stopped';

interface FeedListener {
  onContract(contract: WireContract): void;
  onState(state: FeedState): void;
  /** The session is over: nothing more will come. */
  onSignedOut(): void;
}

/** After a refused stream, before asking the ordinary way. */
const RETRY_MS = 3000;
/** Between the questions that should not be needed. */
const DISTRUST_MS = 30_000;

export class ContractFeed {
  readonly #path: string;
  readonly #listener: FeedListener;
  #source: EventSource | null = null;
  #timer = 0;

  constructor(contractId: string, listener: FeedListener) {
    this.#path = `/contracts/${contractId}`;
    this.#listener = listener;
    // A hidden page lets go of its connection: browsers allow only six to one host, over all tabs.
    document.addEventListener('visibilitychange', () =>
      document.hidden ? this.#disconnect() : this.start(),
    );
  }

  /** Connects, unless it is connected or was stopped for good. */
  start(): void {
    if (this.#source !== null || this.#timer < 0) return;
    const source = new EventSource(`/api/v1${this.#path}/events`);
    this.#source = source;
    source.addEventListener('open', () => this.#listener.onState('live'));
    source.addEventListener('contract', (event: MessageEvent<string>) => {
      this.#listener.onContract(JSON.parse(event.data) as WireContract);
    });
    source.addEventListener('error', () => {
      if (this.#source !== source) return;
      this.#listener.onState('reconnecting');
      if (source.readyState !== EventSource.CLOSED) return; // It tries again by itself.
      this.#disconnect();
      this.#askAfter(RETRY_MS);
    });
    this.#askAfter(DISTRUST_MS);
  }

  /** Ends for good: nothing can change any more. */
  stop(): void {
    this.#disconnect();
    this.#timer = -1;
    this.#listener.onState('stopped');
  }

  #disconnect(): void {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #askAfter(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#ask(), delayMs * (0.8 + 0.4 * Math.random()));
  }

  async #ask(): Promise<void> {
    if (document.hidden) return;
    try {
      this.#listener.onContract(await callApi<WireContract>('GET', this.#path));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        this.stop();
        this.#listener.onSignedOut();
        return;
      }
      this.#listener.onState('reconnecting'); // Whatever it was, the next question may succeed.
    }
    if (this.#timer < 0) return;
    if (this.#source === null) this.start();
    else this.#askAfter(DISTRUST_MS);
  }
}
