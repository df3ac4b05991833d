/** A small client of the simulated API for tests: calls with a token, and waiting for tasks. */
import { Agent, request } from 'undici';
import type { PveSimulator } from '../start-pve-simulator.ts';

/** What came back. */
export interface SimAnswer {
  readonly status: number;
  readonly reason: string;
  readonly data: unknown;
  readonly body: Record<string, unknown>;
}

const TASK_POLL_MS = 5;

export class SimClient {
  readonly #simulator: PveSimulator;
  readonly #token: string;
  readonly #agent: Agent;

  /** `token` is `user@realm!id=secret`; the simulator's own root token where not given. */
  constructor(simulator: PveSimulator, token = simulator.rootToken) {
    this.#simulator = simulator;
    this.#token = token;
    this.#agent = new Agent({ connect: { ca: simulator.certPem } });
  }

  /** A call. Parameters go in the query of a GET or DELETE, otherwise in a form. */
  async call(
    method: string,
    path: string,
    params: Readonly<Record<string, string | readonly string[]>> = {},
  ): Promise<SimAnswer> {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(params))
      for (const each of [value].flat()) form.append(name, each);
    const hasBody = method === 'POST' || method === 'PUT';
    const query = hasBody || form.size === 0 ? '' : `?${form.toString()}`;
    const headers = {
      authorization: `PVEAPIToken=${this.#token}`,
      ...(hasBody ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    };
    return this.raw(method, `${path}${query}`, headers, hasBody ? form.toString() : null);
  }

  /** A request as it is given: no token, no form. */
  async raw(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    content: string | null = null,
  ): Promise<SimAnswer> {
    const { statusCode, statusText, body } = await request(`${this.#simulator.url}/api2/json${path}`, {
      method: method as 'GET',
      dispatcher: this.#agent,
      headers,
      body: content,
    });
    const json = (await body.json()) as Record<string, unknown>;
    return { status: statusCode, reason: statusText, data: json.data, body: json };
  }

  /** The data of a call that must succeed. */
  async ok(
    method: string,
    path: string,
    params: Readonly<Record<string, string | readonly string[]>> = {},
  ): Promise<unknown> {
    const answer = await this.call(method, path, params);
    if (answer.status !== 200)
      throw new Error(`${method} ${path}: ${answer.status} ${answer.reason} ${JSON.stringify(answer.body)}`);
    return answer.data;
  }

  /** Starts a task and waits for its exit status. */
  async task(method: string, path: string, params: Readonly<Record<string, string>> = {}): Promise<string> {
    return this.ended(String(await this.ok(method, path, params)));
  }

  /** The exit status of a task. */
  async ended(upid: string): Promise<string> {
    const node = upid.split(':')[1] ?? '';
    for (;;) {
      const status = (await this.ok('GET', `/nodes/${node}/tasks/${encodeURIComponent(upid)}/status`)) as {
        status: string;
        exitstatus?: string;
      };
      if (status.status === 'stopped') return status.exitstatus ?? '';
      await new Promise((resolve) => setTimeout(resolve, TASK_POLL_MS));
    }
  }

  /** Asks until `check` says something; a test's own time-out ends it. */
  async until<T>(check: () => Promise<T | undefined>, pollMs = TASK_POLL_MS): Promise<T> {
    for (;;) {
      const found = await check();
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
