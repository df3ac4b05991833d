/** A simulated cluster with a template, and the driver on it, for tests. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeSeal } from '@dc/shared/seal';
import { sshLoginProbe } from '../../../guest-access/ssh-login-probe.ts';
import { systemClock } from '../../../lib/system-clock.ts';
import { systemRandom } from '../../../lib/system-random.ts';
import type { PveSimulatorOptions } from '../../../pve-sim/simulator-options.ts';
import { startPveSimulator, type PveSimulator } from '../../../pve-sim/start-pve-simulator.ts';
import { findOfficialSchema } from '../../../pve-sim/testing/find-official-schema.ts';
import { instanceId } from '../../instance-id.ts';
import type { CreateRequest, Handle, Instance, InstanceSpec } from '../../provisioner.ts';
import type { ProvisionerContext } from '../../registry.ts';
import type { ConformanceSubject } from '../../testing/conformance-subject.ts';
import { privilegeNeeds, type PrivilegeNeed } from '../privileges.ts';
import type { ProxmoxOptions } from '../proxmox-options.ts';
import { ProxmoxProvisioner } from '../proxmox-provisioner.ts';
import { sealTag } from '../seal-tag.ts';

export const TEMPLATE = 9_000;
/** The pool of `useLeastPrivileges`. */
export const POOL = 'dc';
export const VMID_FIRST = 20_000;
const GUEST_SSH_PORT = 2_222;

export const SPEC: InstanceSpec = {
  cpu: 1,
  memoryMb: 512,
  diskGb: 5,
  operatingSystem: 'debian-12',
  sshPublicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUHSvEOHC4dwSkaLZ9RDRPOVRNfIyJ0ePM5CZYFx',
  hostname: 'demo',
};

export interface FixtureOptions extends Partial<PveSimulatorOptions> {
  readonly sealSecret?: Uint8Array;
  /** Over the driver's. */
  readonly driver?: Partial<ProxmoxOptions>;
  /** Default: one on the first node. */
  readonly withoutTemplate?: boolean;
}

export class ProxmoxFixture {
  readonly simulator: PveSimulator;
  readonly folder: string;
  readonly sealSecret: Uint8Array;
  readonly signal: AbortSignal = new AbortController().signal;
  readonly #options: Partial<ProxmoxOptions>;
  #requests = 0;

  private constructor(simulator: PveSimulator, folder: string, options: FixtureOptions) {
    this.simulator = simulator;
    this.folder = folder;
    this.sealSecret = options.sealSecret ?? Buffer.alloc(32, 9);
    this.#options = options.driver ?? {};
  }

  static async make(options: FixtureOptions = {}): Promise<ProxmoxFixture> {
    const schema = await findOfficialSchema(options.version ?? '8.4');
    const simulator = await startPveSimulator({
      clock: systemClock,
      random: systemRandom,
      schema,
      ...options,
    });
    if (options.withoutTemplate !== true)
      await simulator.control.addVm({ vmid: TEMPLATE, name: 'debian-12', template: true });
    const fixture = new ProxmoxFixture(simulator, await mkdtemp(join(tmpdir(), 'dc-proxmox-')), options);
    await fixture.writeToken(simulator.rootToken);
    return fixture;
  }

  get tokenFile(): string {
    return join(this.folder, 'token');
  }

  async writeToken(token: string, mode = 0o600): Promise<void> {
    await writeFile(this.tokenFile, `${token}\n`);
    await chmod(this.tokenFile, mode);
  }

  /** Another token: one that has what the driver needs, less one privilege (`/ Sys.Audit`), and sees only its pool. */
  async useLeastPrivileges(without?: string): Promise<void> {
    const { control } = this.simulator;
    control.cluster.pools.set(POOL, { comment: '', storages: new Set() });
    const token = control.addToken('dc@pve', 'agent');
    for (const { path, privileges } of needs(control.cluster.version.major)) {
      const left = privileges.filter((each) => `${path} ${each}` !== without);
      for (const holder of [token.split('=')[0]!, 'dc@pve']) control.allow(holder, path, left);
    }
    await this.writeToken(token);
  }

  /** The options of a driver on it. */
  options(over: Partial<ProxmoxOptions> = {}): ProxmoxOptions {
    return {
      url: this.simulator.url,
      token_file: this.tokenFile,
      fingerprint: this.simulator.fingerprint,
      vmid_first: VMID_FIRST,
      vmid_last: VMID_FIRST + 99,
      ssh_port: GUEST_SSH_PORT,
      guest_networks: ['127.64.0.0/10'],
      ready_timeout_s: 10,
      ...this.#options,
      ...over,
    };
  }

  /** What a driver gets, with the state of this name. */
  context(state = 'state'): ProvisionerContext {
    const { sealSecret, folder } = this;
    return { clock: systemClock, random: systemRandom, sealSecret, stateDir: join(folder, state) };
  }

  open(options: Partial<ProxmoxOptions> = {}): Promise<ProxmoxProvisioner> {
    return this.openWith(this.options(options));
  }

  /** With exactly these options. */
  openWith(options: ProxmoxOptions): Promise<ProxmoxProvisioner> {
    return ProxmoxProvisioner.open(options, this.context());
  }

  /** An order for a new contract. */
  request(over: Partial<InstanceSpec> = {}): CreateRequest {
    const number = String(++this.#requests).padStart(12, '0');
    const contractId = `01930000-0000-7000-8000-${number}`;
    return {
      contractId,
      seal: makeSeal(this.sealSecret, { contractId, environment: 'test' }),
      token: `token-${number}`,
      spec: { ...SPEC, ...over },
    };
  }

  vm(vmid: number) {
    return this.simulator.control.cluster.vms.get(vmid);
  }

  /** VMIDs of everything but templates. */
  vmids(): number[] {
    const { vms } = this.simulator.control.cluster;
    return [...vms.values()].filter((vm) => !vm.isTemplate).map(({ vmid }) => vmid);
  }

  /** The backend as the conformance suite wants to see it. */
  subject(): ConformanceSubject {
    const probe = sshLoginProbe({ clock: systemClock, random: systemRandom });
    const vmOf = (handle: Handle) => this.vm(Number(handle['vmid']))!;
    return {
      spec: SPEC,
      open: () => this.open(),
      replaceSeal: async (handle, seal) => {
        const { config } = vmOf(handle);
        const lines = (config.get('description') ?? '')
          .split('\n')
          .filter((line) => !line.startsWith('dc-seal'));
        config.set('description', [...lines, ...(seal === null ? [] : [`dc-seal: ${seal}`])].join('\n'));
        config.delete('tags');
        if (seal !== null) config.set('tags', sealTag(seal)!);
      },
      snapshot: async (handle) => {
        const vm = vmOf(handle);
        return JSON.stringify([[...vm.config], vm.isRunning, vm.lock]);
      },
      objectIds: async () => this.vmids().map((vmid) => idOf(this.vm(vmid)!.config, vmid)),
      isReachable: (instance) => isPortOpen(instance),
      tryPassword: async (instance, { user, password }) =>
        (await probe.tryPassword({ ...instance.ssh!, user }, password, this.signal)) === 'accepted',
      tryPublicKey: async (instance, sshPublicKey) =>
        (await probe.tryPublicKey(instance.ssh!, sshPublicKey, this.signal)) === 'accepted',
      dispose: () => this.dispose(),
    };
  }

  async dispose(): Promise<void> {
    await this.simulator.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What the driver needs here. */
export const needs = (major: number): PrivilegeNeed[] =>
  privilegeNeeds(major, {
    pool: POOL,
    templates: [`/vms/${TEMPLATE}`],
    storages: ['local-lvm'],
    bridges: ['vmbr0'],
  });

/** The id that a handle on this VM has, by what stands in its description. */
function idOf(config: ReadonlyMap<string, string>, vmid: number): string {
  const said = (name: string): string | undefined =>
    new RegExp(`^dc-${name}: (.*)$`, 'm').exec(config.get('description') ?? '')?.[1];
  const [contractId, token] = [said('contract'), said('token')];
  return contractId === undefined || token === undefined ? `vm.${vmid}` : instanceId(contractId, token);
}

function isPortOpen({ ssh }: Instance): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(ssh!.port, ssh!.host);
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
