/** One rental from the template to nothing, with a real login in between. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import ssh2 from 'ssh2';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { startPveSimulator, type PveSimulator } from './start-pve-simulator.ts';
import { SimClient } from './testing/sim-client.ts';
import { sshRun } from './testing/ssh-run.ts';

let simulator: PveSimulator;
let client: SimClient;
const keys = ssh2.utils.generateKeyPairSync('ed25519');
const VM = '/nodes/pve1/qemu/101';

beforeEach(async () => {
  simulator = await startPveSimulator({ clock: systemClock, random: systemRandom });
  client = new SimClient(simulator);
  await simulator.control.addVm({ vmid: 9000, name: 'debian-12', template: true });
});

afterEach(async () => {
  await client.close();
  await simulator.close();
});

interface Interfaces {
  readonly result: readonly {
    readonly 'hardware-address': string;
    readonly 'ip-addresses': readonly { readonly 'ip-address': string }[];
  }[];
}

/** The address of the card that net0 is, by the guest agent. */
async function addressOf(vm: string): Promise<string> {
  const { net0 } = (await client.ok('GET', `${vm}/config`)) as { net0: string };
  const mac = /virtio=([^,]+)/.exec(net0)?.[1]?.toLowerCase();
  return client.until(async () => {
    const answer = await client.call('GET', `${vm}/agent/network-get-interfaces`);
    if (answer.status !== 200) return undefined;
    const card = (answer.data as Interfaces).result.find((each) => each['hardware-address'] === mac);
    return card?.['ip-addresses'].find((each) => each['ip-address'].startsWith('127.'))?.['ip-address'];
  });
}

describe('a rental', () => {
  it('goes from a linked clone to a login to nothing', async () => {
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', name: 'box-1' })).toBe(
      'OK',
    );
    await client.ok('PUT', `${VM}/config`, {
      ciuser: 'renter',
      sshkeys: encodeURIComponent(keys.public),
      ipconfig0: 'ip=dhcp',
    });
    expect(await client.task('POST', `${VM}/status/start`)).toBe('OK');
    const host = await addressOf(VM);
    const file = (await client.ok('GET', `${VM}/agent/file-read`, {
      file: '/etc/ssh/ssh_host_ed25519_key.pub',
    })) as { content: string };
    const target = { host, port: 2_222, username: 'renter', privateKey: keys.private, hostKey: file.content };
    expect(await sshRun(target, 'whoami; hostname')).toMatchObject({ code: 0, stdout: 'renter\nbox-1\n' });
    expect(await sshRun(target, 'sudo chpasswd && echo done', 'renter:new secret\n')).toMatchObject({
      stdout: 'done\n',
    });
    const byPassword = { ...target, privateKey: undefined, password: 'new secret' };
    expect(await sshRun(byPassword, 'id -un')).toMatchObject({ stdout: 'renter\n' });
    await expect(sshRun({ ...byPassword, password: 'old' }, 'true')).rejects.toThrow(/authentication/);
    expect(await client.task('POST', `${VM}/status/stop`)).toBe('OK');
    expect(await client.task('DELETE', VM)).toBe('OK');
    expect(await client.call('GET', `${VM}/status/current`)).toMatchObject({
      status: 500,
      reason: expect.stringContaining('does not exist') as string,
    });
    await expect(sshRun(target, 'true')).rejects.toThrow(/ECONNREFUSED/);
  });
});
