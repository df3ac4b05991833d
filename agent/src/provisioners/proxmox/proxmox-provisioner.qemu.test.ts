/** The conformance suite on real virtual machines: a kernel, cloud-init's seed, OpenSSH and the real guest agent. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { chooseAccelerator, type Accelerator } from '../../pve-sim/qemu/accelerator.ts';
import { ensureGuestImage, type GuestImage } from '../../pve-sim/qemu/guest-image.ts';
import { QemuGuests } from '../../pve-sim/qemu/qemu-guests.ts';
import { GUEST_SSH_PORT, IMAGE_BUILD_MS_MAX, IMAGE_CACHE } from '../../pve-sim/testing/qemu-fixture.ts';
import { describeProvisioner } from '../testing/provisioner-conformance.ts';
import { ProxmoxFixture } from './testing/proxmox-fixture.ts';

let image: GuestImage;
let accelerator: Accelerator;
beforeAll(async () => {
  const { signal } = new AbortController();
  image = await ensureGuestImage(IMAGE_CACHE, systemClock, signal);
  accelerator = await chooseAccelerator(image, systemClock, signal);
}, IMAGE_BUILD_MS_MAX);

/** What depends on the guest. The rest is between us and the API, which is the same with guests in this process. */
const OF_THE_GUEST = /^(says where|stops, shows|lets in the new key)/;

describeProvisioner('the Proxmox driver with real machines', {
  make: async (sealSecret) => {
    const guests = new QemuGuests({
      clock: systemClock,
      random: systemRandom,
      image,
      accelerator,
      init: 'quick',
      folder: mkdtempSync(join(tmpdir(), 'dc-qemu-')),
      sshPort: GUEST_SSH_PORT,
    });
    const driver = { ready_timeout_s: 120 };
    return (await ProxmoxFixture.make({ sealSecret, guests, driver })).subject();
  },
  tolerances: { testTimeoutMs: 240_000 },
  ...(process.env['DC_MACHINES'] === 'all'
    ? {}
    : { sample: { titles: OF_THE_GUEST, reason: 'takes minutes on real machines: DC_MACHINES=all' } }),
  skips: {
    lostReply: 'the suite aborts before the first of several calls is sent; lost answers are field case 4',
  },
});
