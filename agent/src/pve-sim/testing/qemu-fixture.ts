/** A simulator with real virtual machines, for tests of the `machines` lane. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { chooseAccelerator } from '../qemu/accelerator.ts';
import { ensureGuestImage } from '../qemu/guest-image.ts';
import { QemuGuests } from '../qemu/qemu-guests.ts';
import type { GuestInit } from '../qemu/qemu-machine.ts';
import type { PveSimulatorOptions } from '../simulator-options.ts';
import { startPveSimulator, type PveSimulator } from '../start-pve-simulator.ts';
import { findOfficialSchema } from './find-official-schema.ts';
import type { SimClient } from './sim-client.ts';

/** Where images are kept between runs. */
export const IMAGE_CACHE = join(import.meta.dirname, '../../../../.data/pve-sim');

/** How long building an image may take, for the time-out of a hook. */
export const IMAGE_BUILD_MS_MAX = 9 * 60_000;
/** How often a guest is asked something while it boots: each question takes time from a guest in emulation. */
export const GUEST_POLL_MS = 300;
/** The SSH port of every guest, each at its own address. */
export const GUEST_SSH_PORT = 2_222;

/** A simulator and the guests in it. */
export interface QemuFixture {
  readonly simulator: PveSimulator;
  readonly guests: QemuGuests;
}

/** Starts one, with a template 9000 on its first node. Builds the image when there is none. */
export async function startQemuSimulator(
  init: GuestInit,
  options: Partial<PveSimulatorOptions> = {},
): Promise<QemuFixture> {
  const { signal } = new AbortController();
  const image = await ensureGuestImage(IMAGE_CACHE, systemClock, signal);
  const accelerator = await chooseAccelerator(image, systemClock, signal);
  const guests = new QemuGuests({
    clock: systemClock,
    random: systemRandom,
    image,
    accelerator,
    init,
    folder: mkdtempSync(join(tmpdir(), 'dc-qemu-')),
    sshPort: GUEST_SSH_PORT,
  });
  const schema = await findOfficialSchema(options.version ?? '8.4');
  const simulator = await startPveSimulator({
    clock: systemClock,
    random: systemRandom,
    schema,
    guests,
    ...options,
  });
  const template = { vmid: 9000, name: 'debian-12', template: true, config: { memory: '384' } };
  await simulator.control.addVm(template);
  return { simulator, guests };
}

interface Interfaces {
  readonly result: readonly {
    readonly 'hardware-address'?: string;
    readonly 'ip-addresses'?: readonly { readonly 'ip-address': string }[];
  }[];
}

/** The address of net0's card, as soon as the guest agent tells it. */
export async function addressByAgent(client: SimClient, vm: string): Promise<string> {
  const { net0 } = (await client.ok('GET', `${vm}/config`)) as { net0: string };
  const mac = /virtio=([^,]+)/.exec(net0)?.[1]?.toLowerCase();
  return client.until(async () => {
    const answer = await client.call('GET', `${vm}/agent/network-get-interfaces`);
    if (answer.status !== 200) return undefined;
    const card = (answer.data as Interfaces).result.find((each) => each['hardware-address'] === mac);
    return card?.['ip-addresses']?.find((each) => each['ip-address'].startsWith('127.'))?.['ip-address'];
  }, GUEST_POLL_MS);
}

/** The content of a file in the guest. */
export async function readGuestFile(client: SimClient, vm: string, file: string): Promise<string> {
  return ((await client.ok('GET', `${vm}/agent/file-read`, { file })) as { content: string }).content;
}
