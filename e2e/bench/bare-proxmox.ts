/**
 * The floor of `npm run bench -- proxmox`: a minimal script that makes the same calls to the same simulator in the same
 * order, remembers nothing, and trusts whatever it sees. What our path takes beyond this is ours.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { pinnedConnector } from '../../agent/src/provisioners/proxmox/pinned-connector.ts';
import { sshRun, type SshIdentity } from '../ssh-login.ts';

/** Often enough not to add to the floor, which polls as many scripts do. */
const POLL_MS = 50;
const TEMPLATE = '/nodes/pve1/qemu/9000';

interface Options {
  url: string;
  token_file: string;
  fingerprint: string;
  pool: string;
  ssh_port: number;
}

export class BareProxmox {
  readonly #options: Options;
  readonly #token: string;
  readonly #agent: Agent;
  #vmid = 30_000;

  constructor(dataDir: string) {
    this.#options = JSON.parse(readFileSync(join(dataDir, 'proxmox', 'options.json'), 'utf8')) as Options;
    const connect = pinnedConnector(() => [this.#options.fingerprint], { timeoutMs: 10_000 });
    this.#agent = new Agent({ connect, connections: 64 });
    this.#token = readFileSync(this.#options.token_file, 'utf8').trim();
  }

  /** Clones, configures, starts and waits for the first command over SSH. Answers the milliseconds, and what ends it. */
  async rent(identity: SshIdentity): Promise<{ tookMs: number; remove: () => Promise<void> }> {
    const begunAt = performance.now();
    const vmid = (this.#vmid += 1);
    const vm = `/nodes/pve1/qemu/${String(vmid)}`;
    const { pool } = this.#options;
    await this.#task('POST', `${TEMPLATE}/clone`, { newid: String(vmid), name: 'bare', pool, full: '0' });
    const net0 = String((await this.#config(vm))['net0']);
    await this.#call('PUT', `${vm}/config`, {
      ...{ cores: '1', memory: '512', agent: '1', ciuser: 'renter', ipconfig0: 'ip=dhcp' },
      sshkeys: encodeURIComponent(`${identity.publicKey}\n`),
    });
    await this.#task('PUT', `${vm}/resize`, { disk: 'scsi0', size: '5G' });
    await this.#task('POST', `${vm}/status/start`, {});
    const mac = /=([0-9a-f:]{17})/i.exec(net0)?.[1]?.toLowerCase() ?? '';
    const host = await this.#address(vm, mac);
    const hostKey = await this.#call('GET', `${vm}/agent/file-read?file=/etc/ssh/ssh_host_ed25519_key.pub`);
    const access = {
      ...{ host, port: this.#options.ssh_port, user: 'renter', ssh_command: '', host_key_fingerprint: '' },
      host_key: (hostKey as { content: string }).content.trim().split(' ').slice(0, 2).join(' '),
    };
    await sshRun(identity, access as unknown as Parameters<typeof sshRun>[1], 'echo it works');
    const tookMs = performance.now() - begunAt;
    const remove = async (): Promise<void> => {
      await this.#task('POST', `${vm}/status/stop`, {});
      await this.#task('DELETE', vm);
    };
    return { tookMs, remove };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #address(vm: string, mac: string): Promise<string> {
    for (;;) {
      const answer = await this.#call('GET', `${vm}/agent/network-get-interfaces`).catch(() => null);
      const cards = (answer as { result: Record<string, unknown>[] } | null)?.result ?? [];
      const card = cards.find((each) => each['hardware-address'] === mac);
      const addresses = (card?.['ip-addresses'] ?? []) as Record<string, string>[];
      const found = addresses.find((each) => each['ip-address-type'] === 'ipv4')?.['ip-address'];
      if (found !== undefined) return found;
      await delay(POLL_MS);
    }
  }

  async #config(vm: string): Promise<Record<string, unknown>> {
    return (await this.#call('GET', `${vm}/config`)) as Record<string, unknown>;
  }

  async #task(method: string, path: string, body?: Record<string, string>): Promise<void> {
    const upid = String(await this.#call(method, path, body));
    for (;;) {
      const status = await this.#call('GET', `/nodes/pve1/tasks/${encodeURIComponent(upid)}/status`);
      const { status: state, exitstatus } = status as { status: string; exitstatus?: string };
      if (state === 'stopped' && exitstatus === 'OK') return;
      if (state === 'stopped') throw new Error(`${path}: ${exitstatus ?? ''}`);
      await delay(POLL_MS);
    }
  }

  async #call(method: string, path: string, body?: Record<string, string>): Promise<unknown> {
    const answer = await request(`${this.#options.url}/api2/json${path}`, {
      dispatcher: this.#agent,
      method: method as 'GET',
      headers: {
        authorization: `PVEAPIToken=${this.#token}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      ...(body === undefined ? {} : { body: new URLSearchParams(body).toString() }),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${String(answer.statusCode)} ${text}`);
    return (JSON.parse(text) as { data: unknown }).data;
  }
}
