/** The simulated API as root@pam with a ticket, as the tools on a Proxmox host have it. */
import { Agent, request } from 'undici';
import { sleep, type Clock } from '@dc/shared/clock';

/** Where a simulator is and how to log in; the simulator itself will do. */
export interface SimulatorAddress {
  readonly simulator: { readonly url: string; readonly certPem: string };

  /** Of root@pam. */
  readonly password: string;
}

/** What came back; `data` is null after a refusal. */
export interface ApiAnswer {
  readonly status: number;
  readonly reason: string;
  readonly data: unknown;
}

const TASK_POLL_MS = 10;

/** Logs in at the first call. */
export class ApiSession {
  readonly #address: SimulatorAddress;
  readonly #clock: Clock;
  #agent: { readonly certPem: string; readonly agent: Agent } | undefined;

  #headers: Readonly<Record<string, string>> | undefined;

  constructor(address: SimulatorAddress, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
  }

  async close(): Promise<void> {
    await this.#agent?.agent.destroy();
  }

  pause(ms: number): Promise<void> {
    return sleep(this.#clock, ms);
  }

  /** A call with what `pvesh` gives; the words of a refusal are the reason. */
  async call(
    method: string,
    path: string,
    parameters: Readonly<Record<string, string | readonly string[]>>,
  ): Promise<ApiAnswer> {
    this.#headers ??= await this.#logIn();
    return this.#send(method, path, parameters, this.#headers);
  }

  /** How a task ended, and its log. */
  async ended(upid: string): Promise<{ exitstatus: string; log: string }> {
    const path = `/nodes/${upid.split(':')[1] ?? ''}/tasks/${encodeURIComponent(upid)}`;
    for (;;) {
      const { data } = await this.call('GET', `${path}/status`, {});
      const { status, exitstatus } = data as { status?: string; exitstatus?: string };
      if (status === 'stopped') {
        const log = (await this.call('GET', `${path}/log`, {})).data as { t: string }[];
        return { exitstatus: exitstatus ?? '', log: log.map(({ t }) => t).join('\n') };
      }
      await this.pause(TASK_POLL_MS);
    }
  }

  async nodeOf(vmid: number): Promise<string | null> {
    const { data } = await this.call('GET', '/cluster/resources', { type: 'vm' });
    return (data as { vmid: number; node: string }[]).find((each) => each.vmid === vmid)?.node ?? null;
  }

  async major(): Promise<number> {
    const { data } = await this.call('GET', '/version', {});
    return Number.parseInt((data as { version: string }).version, 10);
  }

  /** For the certificate that is shown now: the real tools use none, and notice no renewal. */
  async #dispatcher(): Promise<Agent> {
    const { certPem } = this.#address.simulator;
    if (this.#agent?.certPem !== certPem) {
      await this.#agent?.agent.destroy();
      this.#agent = { certPem, agent: new Agent({ connect: { ca: certPem } }) };
    }
    return this.#agent.agent;
  }

  async #logIn(): Promise<Readonly<Record<string, string>>> {
    const who = { username: 'root@pam', password: this.#address.password };
    const { data, reason } = await this.#send('POST', '/access/ticket', who, {});
    const { ticket, CSRFPreventionToken } = (data ?? {}) as { ticket?: string; CSRFPreventionToken?: string };
    if (ticket === undefined) throw new Error(`root@pam cannot log in: ${reason}`);
    return { cookie: `PVEAuthCookie=${ticket}`, csrfpreventiontoken: CSRFPreventionToken ?? '' };
  }

  async #send(
    method: string,
    path: string,
    parameters: Readonly<Record<string, string | readonly string[]>>,
    headers: Readonly<Record<string, string>>,
  ): Promise<ApiAnswer> {
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters))
      for (const each of [value].flat()) form.append(name, each);
    const hasBody = method === 'POST' || method === 'PUT';
    const query = hasBody || form.size === 0 ? '' : `?${form.toString()}`;
    const { statusCode, statusText, body } = await request(
      `${this.#address.simulator.url}/api2/json${path}${query}`,
      {
        method: method as 'GET',
        dispatcher: await this.#dispatcher(),
        headers: { ...headers, ...(hasBody ? { 'content-type': 'application/x-www-form-urlencoded' } : {}) },
        body: hasBody ? form.toString() : null,
      },
    );
    const json = (await body.json()) as { data?: unknown; errors?: Record<string, string> };
    const details = Object.entries(json.errors ?? {}).map(([name, problem]) => `${name}: ${problem}`);
    return { status: statusCode, reason: [statusText, ...details].join('\n'), data: json.data ?? null };
  }
}
