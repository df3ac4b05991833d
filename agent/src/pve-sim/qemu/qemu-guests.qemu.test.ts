/** Real virtual machines behind the simulated API: a kernel, OpenSSH, the real guest agent, and a seed as Proxmox VE makes it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import ssh2 from 'ssh2';
import {
  addressByAgent,
  GUEST_SSH_PORT,
  IMAGE_BUILD_MS_MAX,
  readGuestFile,
  startQemuSimulator,
} from '../testing/qemu-fixture.ts';
import type { PveSimulator } from '../start-pve-simulator.ts';
import { SimClient } from '../testing/sim-client.ts';
import { sshRun } from '../testing/ssh-run.ts';

const VM = '/nodes/pve1/qemu/101';
const keys = ssh2.utils.generateKeyPairSync('ed25519');

let simulator: PveSimulator;
let client: SimClient;

beforeAll(async () => {
  ({ simulator } = await startQemuSimulator('quick'));
  client = new SimClient(simulator);
}, IMAGE_BUILD_MS_MAX);

afterAll(async () => {
  await client.close();
  await simulator.close();
});

/** Runs a command by the agent to its end. */
async function exec(command: readonly string[], input?: string): Promise<unknown> {
  const { pid } = (await client.ok('POST', `${VM}/agent/exec`, {
    command,
    ...(input === undefined ? {} : { 'input-data': input }),
  })) as { pid: number };
  return client.until(async () => {
    const status = (await client.ok('GET', `${VM}/agent/exec-status`, { pid: String(pid) })) as {
      exited: number;
    };
    return status.exited === 1 ? status : undefined;
  });
}

describe('a QEMU guest', () => {
  it(
    'is cloned, boots from its seed, answers the agent, lets its renter in, and is gone',
    { timeout: 180_000 },
    async () => {
      expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', name: 'box-1' })).toBe(
        'OK',
      );
      await client.ok('PUT', `${VM}/config`, {
        ciuser: 'renter',
        cipassword: 'first secret',
        sshkeys: encodeURIComponent(keys.public),
        ipconfig0: 'ip=dhcp',
      });
      await client.ok('PUT', `${VM}/resize`, { disk: 'scsi0', size: '4G' });
      expect(await client.task('POST', `${VM}/status/start`)).toBe('OK');
      const host = await addressByAgent(client, VM);
      const hostKey = await readGuestFile(client, VM, '/etc/ssh/ssh_host_ed25519_key.pub');
      const target = { host, port: GUEST_SSH_PORT, username: 'renter', privateKey: keys.private, hostKey };
      expect(await sshRun(target, 'whoami; hostname; sudo whoami')).toMatchObject({
        code: 0,
        stdout: 'renter\nbox-1\nroot\n',
      });
      expect(await readGuestFile(client, VM, '/etc/machine-id')).toMatch(/^[0-9a-f]{32}\n$/);
      // The agent's own words about a command that is not there, and one whose input matters.
      expect(await client.call('POST', `${VM}/agent/exec`, { command: ['/no/such/program'] })).toMatchObject({
        status: 500,
        reason: expect.stringContaining('Agent error') as string,
      });
      expect(await exec(['chpasswd'], 'renter:second secret\n')).toMatchObject({ exitcode: 0 });
      const byPassword = { ...target, privateKey: undefined, password: 'second secret' };
      expect(await sshRun(byPassword, 'id -un')).toMatchObject({ stdout: 'renter\n' });
      await client.ok('POST', `${VM}/agent/set-user-password`, {
        username: 'renter',
        password: 'third secret',
      });
      expect(await sshRun({ ...byPassword, password: 'third secret' }, 'id -un')).toMatchObject({
        stdout: 'renter\n',
      });
      await expect(sshRun({ ...byPassword, password: 'first secret' }, 'true')).rejects.toThrow(
        /authentication/,
      );
      expect(await client.task('POST', `${VM}/status/shutdown`, { timeout: '30' })).toBe('OK');
      expect(await client.ok('GET', `${VM}/status/current`)).toMatchObject({ status: 'stopped' });
      await expect(sshRun(target, 'true')).rejects.toThrow(/ECONNREFUSED/);
      expect(await client.task('DELETE', VM)).toBe('OK');
    },
  );

  it(
    'does not start from a template, and its agent is silent until it is up',
    { timeout: 120_000 },
    async () => {
      expect(await client.task('POST', '/nodes/pve1/qemu/9000/status/start')).toContain("it's a template");
      expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', name: 'box-2' })).toBe(
        'OK',
      );
      expect(await client.task('POST', `${VM}/status/start`)).toBe('OK');
      expect(await client.call('POST', `${VM}/agent/ping`)).toMatchObject({
        status: 500,
        reason: 'QEMU guest agent is not running',
      });
      expect(await client.task('POST', `${VM}/status/stop`)).toBe('OK');
      expect(await client.task('DELETE', VM)).toBe('OK');
    },
  );
});
