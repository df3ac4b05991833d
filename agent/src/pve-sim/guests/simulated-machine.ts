/** One machine in this process, from power on to power off. */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import type { Timing } from '../cluster/timing.ts';
import type { AddressPool } from './address-pool.ts';
import { applyCloudInit } from './apply-cloud-init.ts';
import type { GuestOs } from './guest-os.ts';
import { GuestSshServer, type Ssh2 } from './guest-ssh-server.ts';
import { AgentSilent, type Machine, type MachineSpec } from './machine.ts';
import { GuestShell } from './shell/guest-shell.ts';
import type { GuestMachineState } from './shell/command.ts';
import type { DhcpLease } from './simulated-guests.ts';
import { SimulatedAgent, type NetworkInterface } from './simulated-agent.ts';
import { TimerGroup } from './timer-group.ts';

/** How a guest behaves. The default is a guest that works. */
export interface GuestBehaviour {
  /** `missing`: nobody answers. `blocked`: pings are answered, everything else is refused. */
  readonly agent?: 'works' | 'missing' | 'blocked';
  readonly ssh?: 'works' | 'closed';
  readonly dhcp?: 'works' | 'silent';
  /** cloud-init never runs: the guest comes up as its disk has it. */
  readonly cloudInit?: 'works' | 'broken';
  /** The guest does not see the power button. */
  readonly ignoresPowerButton?: boolean;
  /** What the agent tells of beside `lo` and the real cards: docker0, tailscale0. Listed before them. */
  readonly extraInterfaces?: readonly NetworkInterface[];
  readonly bootMs?: number;
  readonly agentMs?: number;
}

/** What a machine is given by those who make it. */
export interface MachineParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly timing: Timing;
  readonly sshPort: number;
  readonly addresses: AddressPool;
  readonly onLease: (lease: DhcpLease) => void;
  readonly loadSsh2: () => Promise<Ssh2>;
}

const ADDRESS_TRIES_MAX = 50;

export class SimulatedMachine implements Machine {
  readonly #parts: MachineParts;
  readonly #spec: MachineSpec;
  readonly #os: GuestOs | undefined;
  readonly #behaviour: GuestBehaviour;
  readonly #timers: TimerGroup;
  readonly #addresses = new Map<number, string>();
  readonly #clientIds: string[] = [];
  #agent: SimulatedAgent | undefined;
  #ssh: Promise<GuestSshServer | null> | undefined;
  #hostname = '';
  #startedAtMs = 0;
  #isOn = false;
  /** Aborted when it goes off. */
  #off = new AbortController();
  #onOff: () => void = () => {};

  constructor(parts: MachineParts, spec: MachineSpec, os: GuestOs | undefined, behaviour: GuestBehaviour) {
    this.#parts = parts;
    this.#spec = spec;
    this.#os = os;
    this.#behaviour = behaviour;
    this.#timers = new TimerGroup(parts.clock);
  }

  /** Starts to boot. `onOff` is called when the guest switches itself off. */
  powerOn(onOff: () => void): void {
    this.#onOff = onOff;
    this.#isOn = true;
    this.#off = new AbortController();
    this.#startedAtMs = this.#parts.clock.monotonic();
    const os = this.#os;
    if (os === undefined) return; // Nothing to boot from: it stays in its firmware.
    const { bootMs = this.#parts.timing.bootMs, agentMs = this.#parts.timing.agentMs } = this.#behaviour;
    this.#timers.after(bootMs, () => this.#comeUp(os));
    if (this.#behaviour.agent !== 'missing' && this.#spec.hasAgentDevice) {
      this.#timers.after(Math.max(bootMs, agentMs), () => this.#startAgent(os));
    }
  }

  async stop(): Promise<void> {
    this.#isOn = false;
    this.#off.abort(new Error('The machine is off.'));
    this.#timers.cancelAll();
    for (const clientId of this.#clientIds.splice(0)) this.#parts.addresses.release(clientId);
    this.#agent?.close();
    this.#agent = undefined;
    await (await this.#ssh)?.close();
    this.#ssh = undefined;
  }

  pressPowerButton(): boolean {
    if (this.#os === undefined || this.#behaviour.ignoresPowerButton === true) return false;
    this.#timers.after(this.#parts.timing.shutdownMs, () => this.#switchOff());
    return true;
  }

  async reset(): Promise<void> {
    const onOff = this.#onOff;
    await this.stop();
    this.#addresses.clear();
    this.powerOn(onOff);
  }

  async askAgent(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#agent === undefined) throw new AgentSilent('QEMU guest agent is not running');
    return this.#agent.ask(command, args);
  }

  #comeUp(os: GuestOs): void {
    const { random } = this.#parts;
    os.makeMachineId(random);
    if (this.#spec.seed !== null && this.#behaviour.cloudInit !== 'broken')
      applyCloudInit(os, this.#spec.seed, random);
    this.#hostname = os.hostname;
    this.#configureNetwork(os);
    if (this.#behaviour.ssh !== 'closed') this.#ssh = this.#listen(os);
  }

  #configureNetwork(os: GuestOs): void {
    const hasSeed = this.#spec.seed !== null && this.#behaviour.cloudInit !== 'broken';
    for (const nic of this.#spec.nics) {
      const told = this.#spec.seed?.nics.find(({ index }) => index === nic.index);
      // Without cloud-init the image asks for an address at its first card; with it, cards that nothing is said
      // about stay as they are.
      const ip = hasSeed ? (told?.ip ?? null) : nic.index === 0 ? 'dhcp' : null;
      if (ip === null || nic.linkDown) continue;
      if (ip !== 'dhcp') this.#addresses.set(nic.index, ip.split('/')[0] ?? ip);
      else if (this.#behaviour.dhcp !== 'silent') this.#lease(os, nic.index, nic.mac, false);
    }
  }

  #lease(os: GuestOs, index: number, mac: string, another: boolean): void {
    const clientId = `${os.machineId}/${index}`;
    const { addresses, onLease } = this.#parts;
    if (!another) this.#clientIds.push(clientId);
    const address = another ? addresses.renew(clientId) : addresses.lease(clientId);
    this.#addresses.set(index, address);
    onLease({ mac, address, hostname: os.hostname });
  }

  /** Listens at the address of net0. Null where that cannot be, as when another guest has the address. */
  async #listen(os: GuestOs): Promise<GuestSshServer | null> {
    const { clock, sshPort, loadSsh2 } = this.#parts;
    const parts = { ssh2: await loadSsh2(), clock, os, shell: this.#shell(os) };
    for (let tries = 0; tries < ADDRESS_TRIES_MAX; tries++) {
      const address = this.#addresses.get(0);
      if (address === undefined || !this.#isOn || !address.startsWith('127.')) return null;
      try {
        const server = await GuestSshServer.listen(address, sshPort, parts);
        if (this.#isOn) return server;
        await server.close();
        return null;
      } catch {
        // Somebody outside of this simulator has the address: the DHCP server gives another. A static one is lost,
        // and so is one that a guest with the same machine-id has: that is what such guests come to.
        if (this.#isStatic() || this.#parts.addresses.isShared(`${os.machineId}/0`)) return null;
        this.#lease(os, 0, this.#spec.nics[0]?.mac ?? '', true);
      }
    }
    return null;
  }

  #isStatic(): boolean {
    const ip = this.#spec.seed?.nics.find(({ index }) => index === 0)?.ip ?? null;
    return ip !== null && ip !== 'dhcp';
  }

  #startAgent(os: GuestOs): void {
    this.#agent = new SimulatedAgent({
      os,
      shell: this.#shell(os),
      random: this.#parts.random,
      isBlocked: this.#behaviour.agent === 'blocked',
      interfaces: () => this.#interfaces(),
      hostname: () => this.#hostname,
    });
  }

  #shell(os: GuestOs): GuestShell {
    const state: GuestMachineState = {
      hostname: () => this.#hostname,
      setHostname: (name) => (this.#hostname = name),
      uptimeSeconds: () => Math.trunc((this.#parts.clock.monotonic() - this.#startedAtMs) / 1_000),
      addresses: () =>
        this.#spec.nics.flatMap(({ index, mac }) => {
          const address = this.#addresses.get(index);
          return address === undefined ? [] : [{ name: `eth${index}`, mac, cidr: `${address}/10` }];
        }),
      powerOff: () => this.#timers.after(this.#parts.timing.shutdownMs, () => this.#switchOff()),
    };
    const { clock, random } = this.#parts;
    return new GuestShell({ os, machine: state, clock, random, signal: this.#off.signal });
  }

  #interfaces(): NetworkInterface[] {
    const own = this.#spec.nics.map(({ index, mac }): NetworkInterface => {
      const address = this.#addresses.get(index);
      const v4 =
        address === undefined
          ? []
          : [{ 'ip-address-type': 'ipv4', 'ip-address': address, prefix: 10 } as const];
      const linkLocal = {
        'ip-address-type': 'ipv6',
        'ip-address': 'fe80::be24:11ff:fe00:1',
        prefix: 64,
      } as const;
      return {
        name: `eth${index}`,
        'hardware-address': mac.toLowerCase(),
        'ip-addresses': [...v4, linkLocal],
      };
    });
    const lo: NetworkInterface = {
      name: 'lo',
      'hardware-address': '00:00:00:00:00:00',
      'ip-addresses': [
        { 'ip-address-type': 'ipv4', 'ip-address': '127.0.0.1', prefix: 8 },
        { 'ip-address-type': 'ipv6', 'ip-address': '::1', prefix: 128 },
      ],
    };
    return [lo, ...(this.#behaviour.extraInterfaces ?? []), ...own];
  }

  #switchOff(): void {
    if (!this.#isOn) return;
    void this.stop();
    this.#onOff();
  }
}
