/** A new password and another key in a guest whose agent answers, does not, or never did: and which way was taken. */
import { afterEach, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { sshLoginProbe } from '../../guest-access/ssh-login-probe.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import type { PveSimulatorOptions } from '../../pve-sim/simulator-options.ts';
import { diskName } from '../../pve-sim/cluster/volumes.ts';
import { SimulatedGuests } from '../../pve-sim/guests/simulated-guests.ts';
import { ProxmoxFixture } from './testing/proxmox-fixture.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const SILENT: Partial<PveSimulatorOptions> = { faults: { rules: [{ on: 'boot', agent: 'missing' }] } };
const ANOTHER = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q';

async function aGuest(options: Partial<PveSimulatorOptions> = {}) {
  const fixture = await ProxmoxFixture.make(options);
  closers.push(() => fixture.dispose());
  // Without the agent nobody says where a guest is, but for the range that it got its address from.
  const block = `127.${112 + (process.pid % 8)}.${(process.pid >> 3) % 256}`;
  const addresses = { first: `${block}.10`, last: `${block}.20`, prefix: 24, gateway: `${block}.1` };
  const driver = await fixture.open({ ready_timeout_s: 10, addresses });
  closers.push(() => driver.close());
  const request = fixture.request();
  const { handle, ssh } = await driver.create(request, fixture.signal);
  const { signal } = fixture;
  const probe = sshLoginProbe({ clock: systemClock, random: systemRandom });
  const calls = fixture.simulator.observer.counts;
  return {
    fixture,
    request,
    setPassword: (password: string) =>
      driver.setPassword(handle, request.seal, { user: ssh!.user, password }, signal),
    rotate: (sshPublicKey: string, replaces: string) =>
      driver.rotateSshKey(handle, request.seal, { user: ssh!.user, sshPublicKey, replaces }, signal),
    accepts: async (password: string) => (await probe.tryPassword(ssh!, password, signal)) === 'accepted',
    opens: async (key: string) => (await probe.tryPublicKey(ssh!, key, signal)) === 'accepted',
    vmid: Number(handle['vmid']),
    askedAgent: (name: string) => calls.get(`POST /nodes/{node}/qemu/{vmid}/agent/${name}`) ?? 0,
  };
}

type Guest = Awaited<ReturnType<typeof aGuest>>;

/** Takes the agent's key out of the guest, as its renter may. */
function removeManagementKey({ fixture, vmid }: Guest): void {
  const { cluster } = fixture.simulator.control;
  const vm = cluster.vms.get(vmid)!;
  const volume = cluster.storages.volume(vm.bootDisk()![1].volume, vm.node)!;
  if (!(cluster.guests instanceof SimulatedGuests)) throw new Error('Only guests in this process.');
  const disk = cluster.guests.diskOf(diskName(volume))!;
  const file = '/home/renter/.ssh/authorized_keys';
  const lines = (disk.read(file) ?? '').split('\n').filter((line) => !line.endsWith(' dc-agent'));
  disk.write(file, lines.join('\n'));
}

describe('a login in a guest', () => {
  it('is changed by the guest agent where that answers', async () => {
    const guest = await aGuest();
    await guest.setPassword('first-password');
    expect(await guest.accepts('first-password')).toBe(true);
    expect(guest.askedAgent('set-user-password')).toBe(1);
  });

  it('is changed over SSH where the agent is not there, and the renter’s key still opens', async () => {
    const guest = await aGuest(SILENT);
    await guest.setPassword('second-password');
    expect(await guest.accepts('second-password')).toBe(true);
    expect(await guest.accepts('first-password')).toBe(false);
    await guest.rotate(ANOTHER, guest.request.spec.sshPublicKey);
    expect([await guest.opens(ANOTHER), await guest.opens(guest.request.spec.sshPublicKey)]).toEqual([
      true,
      false,
    ]);
    // Our own key is still there for the next time.
    await guest.setPassword('third-password');
    expect(await guest.accepts('third-password')).toBe(true);
  });

  it('is not changed where the agent is silent and the renter has thrown our key out: it says so', async () => {
    const guest = await aGuest(SILENT);
    removeManagementKey(guest);
    const failure: unknown = await guest.setPassword('x-password').catch((error: unknown) => error);
    expect(isAppError(failure, 'PROVISIONER_UNAVAILABLE')).toBe(true);
    expect(String(failure)).toContain('guest agent in the VM does not answer');
    expect(String(failure)).toContain('it does not let us in');
    expect(String(failure)).not.toContain('x-password');
  });
});
