/** One QEMU process: a guest from power on to power off. */
import { join } from 'node:path';
import { createConnection } from 'node:net';
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import { startCommand, type RunningCommand } from '../../lib/run-command.ts';
import type { Machine, MachineSpec } from '../guests/machine.ts';
import type { Accelerator } from './accelerator.ts';
import { AgentSocket } from './agent-socket.ts';
import type { GuestImage } from './guest-image.ts';

const PATH = '/usr/local/bin:/usr/bin:/bin';
const POWER_OFF_MS = 500; // QEMU ends at once when it is told to; nothing is to be saved.
/** What QEMU's user network gives every guest. */
const INSIDE_ADDRESS = '10.0.2.15';
const CONSOLE_BYTES_KEPT = 64 * 1024;

/** Process 1: a small script that is up in a third of the time, or systemd with the real cloud-init. */
export type GuestInit = 'quick' | 'systemd';

/** What a machine runs on. */
export interface QemuMachineParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly image: GuestImage;
  readonly accelerator: Accelerator;
  readonly init: GuestInit;
  /** For its sockets. */
  readonly folder: string;
  readonly disk: string;
  readonly seedIso: string | null;
  /** Where its SSH port is reached from outside. */
  readonly address: string;
  readonly sshPort: number;
}

export class QemuMachine implements Machine {
  readonly #parts: QemuMachineParts;
  readonly #spec: MachineSpec;
  readonly #agent: AgentSocket;
  #running: RunningCommand | undefined;
  #console = '';

  constructor(parts: QemuMachineParts, spec: MachineSpec) {
    this.#parts = parts;
    this.#spec = spec;
    this.#agent = new AgentSocket(this.#socket('agent'), parts.clock, parts.random);
  }

  /** Starts QEMU. Rejects when it cannot be started. `onOff` is called once, when it has ended. */
  async powerOn(onOff: () => void): Promise<void> {
    // A simulator that is killed takes its machines with it.
    const args = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...this.#arguments()];
    const command = { file: 'setpriv', args, env: { PATH } };
    const running = await startCommand(command, this.#parts.clock);
    this.#running = running;
    const keep = (chunk: Buffer): void => {
      this.#console = (this.#console + chunk.toString('utf8')).slice(-CONSOLE_BYTES_KEPT);
    };
    running.stdout.on('data', keep);
    running.stderr.on('data', keep);
    void running.ended.then(() => {
      this.#running = undefined;
      this.#agent.close();
      onOff();
    });
  }

  /** What the guest and QEMU said last: for when it does not come up. */
  get console(): string {
    return this.#console;
  }

  async stop(): Promise<void> {
    await this.#running?.stop(POWER_OFF_MS);
  }

  pressPowerButton(): boolean {
    void this.#monitor('system_powerdown');
    return this.#running !== undefined;
  }

  async reset(): Promise<void> {
    await this.#monitor('system_reset');
  }

  async askAgent(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    const answer = await this.#agent.ask(command, args);
    return command === 'guest-network-get-interfaces' ? this.#translated(answer) : answer;
  }

  /** The guest's network is translated: from outside it is not found where it thinks it is. */
  #translated(interfaces: unknown): unknown {
    const text = JSON.stringify(interfaces).replaceAll(`"${INSIDE_ADDRESS}"`, `"${this.#parts.address}"`);
    return JSON.parse(text) as unknown;
  }

  /** Tells QEMU's monitor something. Whoever is off already needs no telling. */
  async #monitor(execute: string): Promise<void> {
    await new Promise<void>((resolve) => {
      const socket = createConnection(this.#socket('monitor'));
      socket.once('connect', () => {
        socket.end(`{"execute":"qmp_capabilities"}\n${JSON.stringify({ execute })}\n`);
      });
      socket.on('data', () => {}); // Read, or it never closes.
      socket.once('error', () => resolve());
      socket.once('close', () => resolve());
    });
  }

  #socket(name: string): string {
    return join(this.#parts.folder, name);
  }

  #arguments(): string[] {
    const { image, accelerator, disk, seedIso, address, sshPort } = this.#parts;
    const { cores, memoryMb, nics, name, hasAgentDevice } = this.#spec;
    const init = this.#parts.init === 'quick' ? ' dc.init=/usr/local/sbin/guest-init' : '';
    // norandmaps and mitigations=off about halve the time that a boot takes in emulation.
    const append = `console=ttyS0 quiet norandmaps mitigations=off panic=-1${init}`;
    const mac = nics[0]?.mac.toLowerCase() ?? '52:54:00:12:34:56';
    return [
      ...accelerator.args,
      ...[
        '-name',
        name.replaceAll(',', ''),
        '-nodefaults',
        '-no-user-config',
        '-display',
        'none',
        '-serial',
        'stdio',
        '-no-reboot',
      ],
      ...['-smp', String(cores), '-m', String(memoryMb)],
      ...['-kernel', image.kernel, '-initrd', image.initramfs, '-append', append],
      ...['-drive', `file=${disk},if=virtio,format=qcow2,cache=unsafe`],
      ...(seedIso === null ? [] : ['-drive', `file=${seedIso},if=virtio,format=raw,readonly=on`]),
      // No way out; ssh in.
      ...['-netdev', `user,id=net0,restrict=on,hostfwd=tcp:${address}:${sshPort}-:22`],
      ...['-device', `virtio-net-pci,netdev=net0,mac=${mac}`, '-device', 'virtio-rng-pci'],
      ...['-qmp', `unix:${this.#socket('monitor')},server=on,wait=off`],
      ...(hasAgentDevice
        ? [
            ...[
              '-chardev',
              `socket,id=agent,path=${this.#socket('agent')},server=on,wait=off`,
              '-device',
              'virtio-serial-pci',
            ],
            ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
          ]
        : []),
    ];
  }
}
