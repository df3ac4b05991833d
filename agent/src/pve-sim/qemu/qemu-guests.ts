/**
 * Real guests: disks are qcow2 files (a linked clone is an overlay), the seed is an ISO as Proxmox VE makes it, and
 * each machine is a QEMU process with the real guest agent in it. Guests reach nothing; from outside each is reached
 * at an address of its own on loopback, as the guests in this process are.
 */
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import { runCommand } from '../../lib/run-command.ts';
import { AddressPool } from '../guests/address-pool.ts';
import { renderSeed, type CloudInitData } from '../guests/cloud-init.ts';
import type { GuestBackend, Machine, MachineSpec } from '../guests/machine.ts';
import type { DhcpLease } from '../guests/simulated-guests.ts';
import { PveError } from '../http/pve-error.ts';
import type { Accelerator } from './accelerator.ts';
import type { GuestImage } from './guest-image.ts';
import { QemuMachine, type GuestInit } from './qemu-machine.ts';

const TOOL_MS_MAX = 60_000;
const SAID_BYTES_MAX = 64 * 1024;
const PATH = '/usr/local/bin:/usr/bin:/bin';

/** What the QEMU guests of one simulator share. */
export interface QemuGuestsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly image: GuestImage;
  readonly accelerator: Accelerator;
  readonly init: GuestInit;
  /** For disks, seeds and sockets: emptied at the end. Short, since the path of a socket has 107 characters at most. */
  readonly folder: string;
  readonly sshPort: number;
  readonly onLease?: (lease: DhcpLease) => void;
}

export class QemuGuests implements GuestBackend {
  readonly #options: QemuGuestsOptions;
  readonly #addresses: AddressPool;
  readonly #machines = new Map<number, QemuMachine>();
  #boots = 0;

  constructor(options: QemuGuestsOptions) {
    this.#options = options;
    this.#addresses = new AddressPool(Buffer.from(options.random.bytes(4)).readUInt32BE());
  }

  async createDisk(volume: string, image: string | null, sizeBytes: number): Promise<void> {
    const base = image === null ? [] : ['-F', 'qcow2', '-b', this.#options.image.disk];
    await mkdir(this.#options.folder, { recursive: true });
    await this.#tool('qemu-img', [
      'create',
      '-q',
      '-f',
      'qcow2',
      ...base,
      this.#file(volume),
      String(sizeBytes),
    ]);
  }

  async copyDisk(from: string, to: string, linked: boolean): Promise<void> {
    if (linked)
      await this.#tool('qemu-img', [
        'create',
        '-q',
        '-f',
        'qcow2',
        '-F',
        'qcow2',
        '-b',
        this.#file(from),
        this.#file(to),
      ]);
    else await copyFile(this.#file(from), this.#file(to));
  }

  async resizeDisk(volume: string, sizeBytes: number): Promise<void> {
    await this.#tool('qemu-img', ['resize', '-q', this.#file(volume), String(sizeBytes)]);
  }

  async removeDisk(volume: string): Promise<void> {
    await rm(this.#file(volume), { force: true });
  }

  async boot(spec: MachineSpec, onOff: () => void): Promise<Machine> {
    if (spec.bootDisk === null) throw PveError.failed('start failed: no bootable device');
    this.#boots += 1;
    const folder = join(this.#options.folder, `m${this.#boots}`);
    await mkdir(folder, { recursive: true });
    const seedIso = spec.seed === null ? null : await this.#makeSeed(folder, spec.seed);
    const address = this.#addressOf(spec);
    const { clock, random, image, accelerator, init, sshPort } = this.#options;
    const parts = {
      clock,
      random,
      image,
      accelerator,
      init,
      folder,
      seedIso,
      address,
      sshPort,
      disk: this.#file(spec.bootDisk),
    };
    const machine = new QemuMachine(parts, spec);
    this.#machines.set(spec.vmid, machine);
    await machine.powerOn(() => {
      if (this.#machines.get(spec.vmid) === machine) this.#machines.delete(spec.vmid);
      onOff();
    });
    this.#options.onLease?.({ mac: spec.nics[0]?.mac ?? '', address, hostname: spec.name });
    return machine;
  }

  /** What a guest said last on its console: for when it does not come up. */
  consoleOf(vmid: number): string {
    return this.#machines.get(vmid)?.console ?? '';
  }

  async close(): Promise<void> {
    await Promise.all([...this.#machines.values()].map((machine) => machine.stop()));
    await rm(this.#options.folder, { recursive: true, force: true });
  }

  /** An address of 127/8 that the configuration gives is where the guest is reached; otherwise it is the pool's choice. */
  #addressOf(spec: MachineSpec): string {
    const told = spec.seed?.nics.find(({ index }) => index === 0)?.ip?.split('/')[0];
    return told?.startsWith('127.') === true
      ? told
      : this.#addresses.lease(spec.nics[0]?.mac ?? String(spec.vmid));
  }

  /** Inside, every guest has the address that QEMU's network gives by DHCP, whatever it is outside. */
  async #makeSeed(folder: string, data: CloudInitData): Promise<string> {
    const nics = data.nics.map((nic) => ({ ...nic, ip: nic.ip === null ? null : 'dhcp', gateway: null }));
    const { userData, metaData, networkConfig } = renderSeed({ ...data, nics, upgradesPackages: false });
    const files = { 'user-data': userData, 'meta-data': metaData, 'network-config': networkConfig };
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, name), content, { mode: 0o600 });
    const iso = join(folder, 'seed.iso');
    const paths = Object.keys(files).map((name) => join(folder, name));
    await this.#tool('genisoimage', [
      '-quiet',
      '-iso-level',
      '3',
      '-J',
      '-R',
      '-V',
      'cidata',
      '-o',
      iso,
      ...paths,
    ]);
    return iso;
  }

  #file(volume: string): string {
    return join(this.#options.folder, `${encodeURIComponent(volume)}.qcow2`);
  }

  async #tool(file: string, args: readonly string[]): Promise<void> {
    const limits = { timeoutMs: TOOL_MS_MAX, outputBytesMax: SAID_BYTES_MAX };
    const result = await runCommand(
      { file, args, env: { PATH } },
      limits,
      this.#options.clock,
      new AbortController().signal,
    );
    if (result.exitCode !== 0) throw PveError.failed(`${file} failed: ${result.stderr.trim()}`);
  }
}
