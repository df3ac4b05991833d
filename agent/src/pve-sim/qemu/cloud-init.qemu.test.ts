/** A guest with systemd and the real cloud-init takes the seed that the simulator makes of a VM's configuration. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import ssh2 from 'ssh2';
import type { PveSimulator } from '../start-pve-simulator.ts';
import {
  addressByAgent,
  GUEST_POLL_MS,
  GUEST_SSH_PORT,
  IMAGE_BUILD_MS_MAX,
  readGuestFile,
  startQemuSimulator,
} from '../testing/qemu-fixture.ts';
import { SimClient } from '../testing/sim-client.ts';
import { sshRun } from '../testing/ssh-run.ts';

const VM = '/nodes/pve1/qemu/101';
const keys = ssh2.utils.generateKeyPairSync('ed25519');
/** A handshake that is refused half way costs such a guest seconds. */
const SSH_POLL_MS = 2_000;
let simulator: PveSimulator;
let client: SimClient;

beforeAll(async () => {
  ({ simulator } = await startQemuSimulator('systemd'));
  client = new SimClient(simulator);
}, IMAGE_BUILD_MS_MAX);

afterAll(async () => {
  await client.close();
  await simulator.close();
});

describe('the real cloud-init', () => {
  it('makes the user, the keys, the password, the name and new host keys', { timeout: 400_000 }, async () => {
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', name: 'box-1' })).toBe(
      'OK',
    );
    const settings = {
      ciuser: 'renter',
      cipassword: 'a secret',
      sshkeys: encodeURIComponent(keys.public),
      ipconfig0: 'ip=dhcp',
    };
    await client.ok('PUT', `${VM}/config`, settings);
    expect(await client.task('POST', `${VM}/status/start`)).toBe('OK');
    const host = await addressByAgent(client, VM);
    // The agent is up before cloud-init has made the host key and the user.
    const hostKey = await client.until(async () => {
      const answer = await client.call('GET', `${VM}/agent/file-read`, {
        file: '/etc/ssh/ssh_host_ed25519_key.pub',
      });
      return answer.status === 200 ? (answer.data as { content: string }).content : undefined;
    }, GUEST_POLL_MS);
    const target = { host, port: GUEST_SSH_PORT, username: 'renter', privateKey: keys.private, hostKey };
    const login = await client.until(
      async () =>
        sshRun(target, 'whoami; hostname; sudo whoami; cloud-init status --wait').catch(() => undefined),
      SSH_POLL_MS,
    );
    expect(login).toMatchObject({ stdout: expect.stringContaining('renter\nbox-1\nroot\n') as string });
    expect(login.stdout).toContain('status: done');
    expect(await readGuestFile(client, VM, '/etc/machine-id')).toMatch(/^[0-9a-f]{32}\n$/);
    expect(await readGuestFile(client, VM, '/etc/shadow')).toMatch(/^renter:\$5\$/m);
  });
});
