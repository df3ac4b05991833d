/**
 * A whole installation on virtual time: a memory backend, a memory coordinator, and a journal on disk that outlives the
 * agent, so that it can be stopped and started again.
 */
import { writeFile } from 'node:fs/promises';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { Secret } from '../config/key-files.ts';
import type { Config } from '../config/config-schema.ts';
import { renderConfig } from '../config/config-template.ts';
import type { Look } from '../health/health-loop.ts';
import { SILENT, type Log } from '../lib/log.ts';
import { MemoryBackend } from '../provisioners/memory/memory-backend.ts';
import { MemoryProvisioner } from '../provisioners/memory/memory-provisioner.ts';
import type { Provisioner } from '../provisioners/provisioner.ts';
import { createAgent, type Agent, type AgentDependencies } from '../wiring.ts';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { ENVIRONMENT, MemoryCoordinator } from './memory-coordinator.ts';
import { seededRandom } from './seeded-random.ts';

/** A line of the log. */
export interface LogLine {
  readonly message: string;
  readonly [name: string]: unknown;
}

export class Installation {
  readonly clock = new ManualClock();
  readonly random = seededRandom('world');
  readonly keys = {
    agentKey: SigningKey.fromSeed(new Uint8Array(32).fill(1)),
    sealSecret: new Secret(new Uint8Array(32).fill(2)),
  };
  readonly backend = new MemoryBackend();
  readonly coordinator = new MemoryCoordinator(this.clock, this.keys.agentKey.publicKey);
  readonly log: LogLine[] = [];
  /** What a look at an instance answers. */
  look: Look = () => Promise.resolve(3);
  readonly config: Config;
  readonly #agents = new Set<Agent>();
  #contracts = 0;

  constructor(stateDir: string, limits: Partial<Config['limits']> = {}) {
    this.config = {
      coordinator: { url: 'http://127.0.0.1:1', publicKeys: [this.coordinator.key.publicKey] },
      environment: ENVIRONMENT,
      providerKey: this.keys.agentKey.publicKey,
      poolId: '01890000-0000-7000-8000-000000000000',
      stateDir,
      keyDir: '/nonexistent',
      provisioner: { kind: 'memory', options: {} },
      limits: {
        parallel: 8,
        drainMs: 30_000,
        sshTimeoutMs: 60_000,
        diskFreeBytes: 0,
        destructionsPerHour: 3,
        historyMs: 90 * 86_400_000,
        ...limits,
      },
      logLevel: 'info',
    };
  }

  newContract(): string {
    return `01890000-0000-7000-8000-${String((this.#contracts += 1)).padStart(12, 'c')}`;
  }

  /** Writes the configuration that commands of this installation read. */
  async writeConfig(file: string): Promise<void> {
    const { coordinator, environment, providerKey, poolId, stateDir, keyDir } = this.config;
    const text = renderConfig({
      coordinator: { url: coordinator.url, public_keys: coordinator.publicKeys },
      agent: {
        environment,
        provider_pubkey: providerKey,
        pool_id: poolId,
        state_dir: stateDir,
        key_dir: keyDir,
      },
      provisioner: { kind: 'local' },
    });
    await writeFile(file, text, { mode: 0o600 });
  }

  /** Another driver object over the same backend. */
  openProvisioner(): Provisioner {
    return new MemoryProvisioner({
      backend: this.backend,
      clock: this.clock,
      sealSecret: this.keys.sealSecret.reveal(),
    });
  }

  make(change: Partial<AgentDependencies> = {}): Agent {
    const { clock, random, keys, coordinator } = this;
    const provisioner = this.openProvisioner();
    const agent = createAgent(this.config, {
      clock,
      random,
      keys,
      coordinator,
      log: this.#log(),
      provisioner,
      look: (address, signal) => this.look(address, signal),
      probeSsh: async ({ port }) => {
        const { instances } = await provisioner.list(new AbortController().signal);
        const ssh = instances.find((instance) => instance.ssh?.port === port)?.ssh;
        if (ssh == null) return { answered: false, why: 'nothing listens on its SSH port' };
        return { answered: true, hostKeyFingerprint: ssh.hostKeyFingerprint };
      },
      ...change,
    });
    this.#agents.add(agent);
    return agent;
  }

  /** Makes an agent and starts it. */
  async start(change: Partial<AgentDependencies> = {}): Promise<Agent> {
    const agent = this.make(change);
    await agent.start();
    await this.clock.advance(0);
    return agent;
  }

  /** Stops every agent; for the end of a test. */
  async close(): Promise<void> {
    for (const agent of this.#agents) await agent.stop();
  }

  /** The messages of the log, in order. */
  messages(): string[] {
    return this.log.map(({ message }) => message);
  }

  #log(): Log {
    const add = (fields: object, message: string): void => void this.log.push({ ...fields, message });
    return { ...SILENT, info: add, warn: add, error: add };
  }
}
