/** A simulated cluster, an image server and a coordinator, and the set-up run against them, for tests. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../lib/system-clock.ts';
import { systemRandom } from '../../../lib/system-random.ts';
import type { PveSimulatorOptions } from '../../../pve-sim/simulator-options.ts';
import { startPveSimulator, type PveSimulator } from '../../../pve-sim/start-pve-simulator.ts';
import { findOfficialSchema } from '../../../pve-sim/testing/find-official-schema.ts';
import { SetupCoordinator } from '../../../testing/setup-coordinator.ts';
import type { KnownAnswers } from '../answers.ts';
import { LocalHost } from '../local-host.ts';
import { setUpProxmox, type SetupParts, type SetupRequest, type SetupSettings } from '../set-up-proxmox.ts';
import { ImageServer, type TestSigner } from './image-server.ts';
import { SimulatedHost } from './simulated-host.ts';

const GUEST_SSH_PORT = 2_222;

export class ProxmoxSetup {
  readonly simulator: PveSimulator;
  readonly coordinator: SetupCoordinator;
  readonly images: ImageServer;
  readonly host: SimulatedHost;
  readonly folder: string;
  /** What was said, in the order in which it was. */
  readonly said: string[] = [];

  private constructor(parts: Pick<ProxmoxSetup, 'simulator' | 'coordinator' | 'images' | 'host' | 'folder'>) {
    this.simulator = parts.simulator;
    this.coordinator = parts.coordinator;
    this.images = parts.images;
    this.host = parts.host;
    this.folder = parts.folder;
  }

  static async make(signer: TestSigner, options: Partial<PveSimulatorOptions> = {}): Promise<ProxmoxSetup> {
    const schema = await findOfficialSchema(options.version ?? '8.4');
    const simulator = await startPveSimulator({
      clock: systemClock,
      random: systemRandom,
      schema,
      ...options,
    });
    return new ProxmoxSetup({
      simulator,
      coordinator: await SetupCoordinator.start(),
      images: await ImageServer.start(signer),
      host: new SimulatedHost(simulator, systemClock),
      folder: await mkdtemp(join(tmpdir(), 'dc-setup-')),
    });
  }

  get output(): string {
    return join(this.folder, 'etc', 'dc-agent.toml');
  }

  get config(): string {
    return readFileSync(this.output, 'utf8');
  }

  get settings(): SetupSettings {
    return {
      imageStorage: 'local',
      pool: 'dc-agent',
      templatePrefix: 'dc-',
      templateVmid: 9_000,
      apiUrl: this.simulator.url,
      guestNetworks: ['127.64.0.0/10'],
      guestSshPort: GUEST_SSH_PORT,
      certificateFile: null,
      output: this.output,
      keyDir: join(this.folder, 'etc', 'keys'),
      stateDir: join(this.folder, 'state'),
      label: null,
    };
  }

  /** Flags for everything, but what `change` says. */
  flags(change: KnownAnswers = {}): KnownAnswers {
    return {
      nodes: [...this.simulator.control.cluster.nodes.keys()].join(','),
      storage: 'local-lvm',
      bridge: 'vmbr0',
      addresses: 'dhcp',
      systems: 'debian-12',
      vmids: '20000-20099',
      coordinator: this.coordinator.url,
      ...change,
    };
  }

  /** Runs the set-up; `request` and `parts` are over what makes it pass. */
  run(request: Partial<SetupRequest> = {}, parts: Partial<SetupParts> = {}): Promise<boolean> {
    const all: SetupRequest = {
      settings: this.settings,
      flags: this.flags(),
      isDryRun: false,
      service: null,
      ...request,
    };
    return setUpProxmox(all, {
      host: this.host,
      here: new LocalHost({ PATH: process.env['PATH'] ?? '' }, systemClock),
      clock: systemClock,
      random: systemRandom,
      signal: new AbortController().signal,
      images: this.images.images,
      asker: null,
      confirm: () => Promise.resolve(true),
      readToken: () => Promise.resolve(this.coordinator.grant()),
      report: {
        onHeading: (line) => void this.said.push(line),
        onKnown: (message, value) => void this.said.push(`${message} ${value}`),
        onDone: (title, detail) => void this.said.push(`done ${title}: ${detail}`),
        onPlanned: (title, lines) => void this.said.push(`plan ${title}`, ...lines),
        onAction: (title, line) => void this.said.push(`do ${title}: ${line}`),
      },
      ...parts,
    });
  }

  async dispose(): Promise<void> {
    await this.host.close();
    await this.images.stop();
    await this.coordinator.stop();
    await this.simulator.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
