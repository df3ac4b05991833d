/** A program that answers like four exchanges, each in its own shape, for tests; and misbehaves like them. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '@dc/shared/clock';
import { EXCHANGE_NAMES, type ExchangeName } from '../exchange-formats.ts';

/** How one of them answers. */
export interface ExchangeMood {
  price: string;
  /** How old what it says is; not said by all of them. */
  ageMs: number;
  /** A status other than success, with Retry-After where that is set. */
  status: number;
  retryAfterS: number | null;
  /** Instead of its answer. */
  text: string | null;
  /** `hang`: no answer at all; `redirect`: somewhere else. */
  fault: 'hang' | 'redirect' | 'reset' | null;
}

const CONTENT: ExchangeMood = {
  ...{ price: '5.00', ageMs: 0, status: 200, retryAfterS: null, text: null, fault: null },
};

export class ExchangeStandIn {
  readonly moods = new Map<ExchangeName, ExchangeMood>(EXCHANGE_NAMES.map((name) => [name, { ...CONTENT }]));
  /** The paths that were asked for, in order. */
  readonly asked: string[] = [];
  readonly #clock: Clock;
  readonly #server: Server;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** As the configuration has them. */
  get sources(): { name: ExchangeName; apiBase: string }[] {
    const { port } = this.#server.address() as AddressInfo;
    return EXCHANGE_NAMES.map((name) => ({ name, apiBase: `http://127.0.0.1:${String(port)}/${name}` }));
  }

  /** Changes how one answers, or all. */
  set(names: readonly ExchangeName[], mood: Partial<ExchangeMood>): void {
    for (const name of names) this.moods.set(name, { ...CONTENT, ...mood });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const [, name = '', path = ''] = /^\/([a-z]+)(\/.*)$/.exec(request.url ?? '') ?? [];
    this.asked.push(`${name}${path}`);
    const mood = this.moods.get(name as ExchangeName) ?? CONTENT;
    if (mood.fault === 'hang') return;
    if (mood.fault === 'reset') return void response.destroy();
    if (mood.fault === 'redirect')
      return void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end();
    const headers = mood.retryAfterS === null ? {} : { 'retry-after': String(mood.retryAfterS) };
    response.writeHead(mood.status, { 'content-type': 'application/json', ...headers });
    response.end(mood.text ?? JSON.stringify(this.#answer(name as ExchangeName, mood)));
  }

  #answer(name: ExchangeName, { price, ageMs }: ExchangeMood): unknown {
    const at = this.#clock.now() - ageMs;
    switch (name) {
      case 'coinbase':
        return {
          trade_id: 1,
          price,
          size: '3',
          time: new Date(at).toISOString(),
          bid: price,
          ask: price,
          volume: '9',
        };
      case 'kraken':
        return {
          error: [],
          result: { ICPUSD: { a: [price, '1', '1'], b: [price, '1', '1'], c: [price, '2'] } },
        };
      case 'binance':
        return { symbol: 'ICPUSDT', lastPrice: price, openTime: at - 86_400_000, closeTime: at, count: 7 };
      case 'coingecko':
        return { 'internet-computer': { usd: Number(price), last_updated_at: Math.floor(at / 1000) } };
    }
  }
}
