/** The guests in this process: what they take from cloud-init, how they are reached, and how they can fail. */
import { afterEach, describe, expect, it } from 'vitest';
import ssh2 from 'ssh2';
import type { DhcpLease } from './simulated-guests.ts';
import { simFixtures, type SimFixture } from '../testing/sim-fixture.ts';
import { sshRun } from '../testing/ssh-run.ts';

const start = simFixtures();
const keys = ssh2.utils.generateKeyPairSync('ed25519');
const leases: DhcpLease[] = [];
afterEach(() => void leases.splice(0));

interface Interfaces {
  readonly result: readonly {
    readonly name: string;
    readonly 'ip-addresses'?: readonly { readonly 'ip-address': string }[];
  }[];
}

async function startFixture(options: Parameters<typeof start>[0] = {}): Promise<SimFixture> {
  const fixture = await start({ onLease: (lease) => leases.push(lease), ...options });
  await fixture.simulator.control.addVm({ vmid: 9000, name: 'debian-12', template: true });
  return fixture;
}

/** Clones, configures and starts a VM; answers its path. */
async function run(
  { client }: SimFixture,
  vmid: number,
  config: Record<string, string> = {},
): Promise<string> {
  const vm = `/nodes/pve1/qemu/${vmid}`;
  expect(
    await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: String(vmid), name: `box-${vmid}` }),
  ).toBe('OK');
  await client.ok('PUT', `${vm}/config`, {
    ciuser: 'renter',
    sshkeys: encodeURIComponent(keys.public),
    ipconfig0: 'ip=dhcp',
    ...config,
  });
  expect(await client.task('POST', `${vm}/status/start`)).toBe('OK');
  return vm;
}

/** The guest's interfaces, once its agent is up. */
async function interfacesOf({ client }: SimFixture, vm: string): Promise<Interfaces['result']> {
  return client.until(async () => {
    const answer = await client.call('GET', `${vm}/agent/network-get-interfaces`);
    return answer.status === 200 ? (answer.data as Interfaces).result : undefined;
  });
}

async function addressOf(fixture: SimFixture, vm: string): Promise<string> {
  const interfaces = await interfacesOf(fixture, vm);
  return interfaces.find(({ name }) => name === 'eth0')?.['ip-addresses']?.[0]?.['ip-address'] ?? '';
}

async function read({ client }: SimFixture, vm: string, file: string): Promise<string> {
  return ((await client.ok('GET', `${vm}/agent/file-read`, { file })) as { content: string }).content;
}

describe('clones', () => {
  it('have machine-ids, host keys and addresses of their own', async () => {
    const fixture = await startFixture();
    const vms = [await run(fixture, 101), await run(fixture, 102)];
    const addresses = [await addressOf(fixture, vms[0]!), await addressOf(fixture, vms[1]!)];
    expect(new Set(addresses).size).toBe(2);
    expect(addresses[0]).toMatch(/^127\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\./);
    const ids = await Promise.all(vms.map((vm) => read(fixture, vm, '/etc/machine-id')));
    const hostKeys = await Promise.all(
      vms.map((vm) => read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub')),
    );
    expect([new Set(ids).size, new Set(hostKeys).size]).toEqual([2, 2]);
    expect(leases.map(({ address }) => address).sort()).toEqual([...addresses].sort());
  });

  it('of a template with a machine-id share it, and so their address: only one is reached', async () => {
    const fixture = await startFixture();
    fixture.simulator.control.setMachineId(9000, '0123456789abcdef0123456789abcdef');
    const [first, second] = [await run(fixture, 101), await run(fixture, 102)];
    const host = await addressOf(fixture, first);
    expect(await addressOf(fixture, second)).toBe(host);
    const hostKey = await read(fixture, first, '/etc/ssh/ssh_host_ed25519_key.pub');
    const login = await sshRun(
      { host, port: 2_222, username: 'renter', privateKey: keys.private, hostKey },
      'hostname',
    );
    expect(login.stdout).toBe('box-101\n');
  });

  it('keep what was changed on their disk, and start anew from a changed configuration', async () => {
    const fixture = await startFixture();
    const { client } = fixture;
    const vm = await run(fixture, 101);
    await addressOf(fixture, vm);
    await client.ok('POST', `${vm}/agent/file-write`, { file: '/var/note', content: 'mine' });
    const hostKey = await read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub');
    const again = async (): Promise<void> => {
      expect(await client.task('POST', `${vm}/status/stop`)).toBe('OK');
      expect(await client.task('POST', `${vm}/status/start`)).toBe('OK');
      await interfacesOf(fixture, vm);
    };
    await again();
    expect(await read(fixture, vm, '/var/note')).toBe('mine');
    expect(await read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub')).toBe(hostKey);
    await client.ok('PUT', `${vm}/config`, { ciuser: 'other' });
    await again();
    expect(await read(fixture, vm, '/etc/passwd')).toContain('other:x:');
    expect(await read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub')).not.toBe(hostKey);
  });
});

describe('an address', () => {
  it('that the configuration gives is where the guest is', async () => {
    const fixture = await startFixture();
    const vm = await run(fixture, 101, { ipconfig0: 'ip=127.99.88.77/10,gw=127.64.0.1' });
    expect(await addressOf(fixture, vm)).toBe('127.99.88.77');
    expect(leases).toEqual([]);
    const hostKey = await read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub');
    const target = {
      host: '127.99.88.77',
      port: 2_222,
      username: 'renter',
      privateKey: keys.private,
      hostKey,
    };
    expect(await sshRun(target, 'hostname')).toMatchObject({ stdout: 'box-101\n' });
  });
});

describe('a guest without a cloud-init drive', () => {
  it('comes up as its template is: nobody can log in', async () => {
    const fixture = await start();
    await fixture.simulator.control.addVm({ vmid: 9000, template: true, without: ['ide2'] });
    const vm = await run(fixture, 101);
    expect(await addressOf(fixture, vm)).toMatch(/^127\./);
    expect(await read(fixture, vm, '/etc/passwd')).not.toContain('renter');
    expect(
      (
        await fixture.client.call('GET', `${vm}/agent/file-read`, {
          file: '/etc/ssh/ssh_host_ed25519_key.pub',
        })
      ).status,
    ).toBe(500);
  });
});

describe('guests that fail', () => {
  it('can have no agent, one that is blocked, or none in their configuration', async () => {
    const fixture = await startFixture();
    const { simulator, client } = fixture;
    simulator.control.faults.add(
      { on: 'boot', vmid: 101, agent: 'missing' },
      { on: 'boot', vmid: 102, agent: 'blocked' },
    );
    const [missing, blocked, none] = [
      await run(fixture, 101),
      await run(fixture, 102),
      await run(fixture, 103, { delete: 'agent' }),
    ];
    expect(
      await client.until(async () =>
        (await client.call('POST', `${blocked}/agent/ping`)).status === 200 ? 'pings' : undefined,
      ),
    ).toBe('pings');
    expect(await client.call('GET', `${blocked}/agent/network-get-interfaces`)).toMatchObject({
      status: 500,
      reason: expect.stringContaining('has been disabled') as string,
    });
    expect(await client.call('POST', `${missing}/agent/ping`)).toMatchObject({
      status: 500,
      reason: 'QEMU guest agent is not running',
    });
    expect(await client.call('POST', `${none}/agent/ping`)).toMatchObject({
      status: 500,
      reason: 'No QEMU guest agent configured',
    });
    expect(await client.call('POST', '/nodes/pve1/qemu/9000/agent/ping')).toMatchObject({
      status: 500,
      reason: 'VM 9000 is not running',
    });
  });

  it('can have no address, no SSH server, or other interfaces first', async () => {
    const fixture = await startFixture();
    fixture.simulator.control.faults.add(
      { on: 'boot', vmid: 101, dhcp: 'silent' },
      {
        on: 'boot',
        vmid: 102,
        ssh: 'closed',
        extraInterfaces: { docker0: '172.17.0.1', tailscale0: '100.64.0.9' },
      },
    );
    const [silent, closed] = [await run(fixture, 101), await run(fixture, 102)];
    expect(
      (await interfacesOf(fixture, silent)).find(({ name }) => name === 'eth0')?.['ip-addresses'],
    ).toHaveLength(1);
    expect((await interfacesOf(fixture, closed)).map(({ name }) => name)).toEqual([
      'lo',
      'docker0',
      'tailscale0',
      'eth0',
    ]);
    const host = await addressOf(fixture, closed);
    await expect(
      sshRun({ host, port: 2_222, username: 'renter', privateKey: keys.private, hostKey: '' }, 'true'),
    ).rejects.toThrow(/ECONNREFUSED/);
  });

  it('can ignore the power button', async () => {
    const fixture = await startFixture();
    fixture.simulator.control.faults.add({ on: 'boot', vmid: 101, ignoresPowerButton: true });
    const vm = await run(fixture, 101);
    expect(await fixture.client.task('POST', `${vm}/status/shutdown`, { timeout: '0' })).toBe(
      'VM quit/powerdown failed - got timeout',
    );
    expect(await fixture.client.task('POST', `${vm}/status/shutdown`, { timeout: '0', forceStop: '1' })).toBe(
      'WARNINGS: 1',
    );
  });
});

describe('commands', () => {
  it('by the agent run as root, with their input', async () => {
    const fixture = await startFixture();
    const { client } = fixture;
    const vm = await run(fixture, 101);
    await interfacesOf(fixture, vm);
    const exec = async (command: readonly string[], input?: string) => {
      const { pid } = (await client.ok('POST', `${vm}/agent/exec`, {
        command,
        ...(input === undefined ? {} : { 'input-data': input }),
      })) as { pid: number };
      return client.until(async () => {
        const status = (await client.ok('GET', `${vm}/agent/exec-status`, { pid: String(pid) })) as Record<
          string,
          unknown
        >;
        return status.exited === 1 ? status : undefined;
      });
    };
    expect(await exec(['whoami'])).toMatchObject({ exitcode: 0, 'out-data': 'root\n' });
    expect(await exec(['chpasswd'], 'renter:s3cret\n')).toMatchObject({ exitcode: 0 });
    expect(await exec(['chpasswd'], 'nobody-here:x\n')).toMatchObject({
      exitcode: 1,
      'err-data': expect.stringContaining('not changed') as string,
    });
    expect(
      await exec(
        ['/bin/sh', '-c', 'read -r name; hostnamectl set-hostname "$name" && hostname'],
        'renamed\n',
      ),
    ).toMatchObject({ 'out-data': 'renamed\n' });
    const handOver =
      'set -e; rm -f /etc/ssh/ssh_host_*; ssh-keygen -A; : > /etc/machine-id; systemd-machine-id-setup 2>/dev/null; systemctl restart ssh';
    const before = await read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub');
    expect(await exec(['sh', '-c', handOver])).toMatchObject({ exitcode: 0 });
    expect(await read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub')).not.toBe(before);
    expect(await exec(['no-such-program'])).toMatchObject({ exitcode: 127 });
  });
});

describe('what runs when a guest is switched off', () => {
  it('is killed, and leaves nothing waiting', async () => {
    const fixture = await startFixture();
    const vm = await run(fixture, 101);
    await interfacesOf(fixture, vm);
    await fixture.client.ok('POST', `${vm}/agent/exec`, { command: ['sleep', '3000'] });
    expect(await fixture.client.task('POST', `${vm}/status/stop`)).toBe('OK');
  });
});

describe('a terminal', () => {
  it('has a prompt, runs what is typed, and ends', async () => {
    const fixture = await startFixture();
    const vm = await run(fixture, 101);
    const host = await addressOf(fixture, vm);
    const expected = (await read(fixture, vm, '/etc/ssh/ssh_host_ed25519_key.pub')).split(' ')[1];
    const client = new ssh2.Client();
    const said = await new Promise<string>((resolve, reject) => {
      client.on('error', reject);
      client.once('ready', () => {
        client.shell((error, channel) => {
          if (error !== undefined) return reject(error);
          let text = '';
          channel.on('data', (chunk: Buffer) => (text += chunk.toString()));
          channel.once('close', () => resolve(text));
          channel.write('hostnamX\u007fe\rexit\r');
        });
      });
      const hostVerifier = (key: Buffer): boolean => key.toString('base64') === expected;
      client.connect({ host, port: 2_222, username: 'renter', privateKey: keys.private, hostVerifier });
    });
    client.end();
    expect(said).toContain('renter@box-101:~$ hostnamX\b \be\r\n');
    expect(said).toContain('\r\nbox-101\r\nrenter@box-101:~$ ');
  });
});
