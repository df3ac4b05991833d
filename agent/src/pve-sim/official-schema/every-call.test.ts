/** Makes every call of every version once, with each request and each answer held against the vendor's description. */
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import { startPveSimulator, type PveSimulator } from '../start-pve-simulator.ts';
import { findOfficialSchema, whyNoOfficialSchema } from '../testing/find-official-schema.ts';
import { SimClient } from '../testing/sim-client.ts';

const VM = '/nodes/pve1/qemu/101';
const NEW = '/nodes/pve1/qemu/102';
let simulator: PveSimulator;
let client: SimClient;

async function start(version: string): Promise<void> {
  const schema = await findOfficialSchema(version);
  const storages = [
    {
      storage: 'local',
      type: 'dir',
      content: ['images', 'iso', 'snippets', 'vztmpl', ...(version === '7.4' ? [] : ['import'])],
    },
    { storage: 'local-lvm', type: 'lvmthin' },
    { storage: 'shared', type: 'nfs', content: ['images', 'iso'] },
  ] as const;
  simulator = await startPveSimulator({
    clock: systemClock,
    random: systemRandom,
    version,
    nodes: 2,
    schema,
    storages,
  });
  client = new SimClient(simulator);
  simulator.control.cluster.access.users.get('root@pam')!.password = 'root password';
  await simulator.control.addVm({ vmid: 9000, name: 'debian-12', template: true });
}

afterEach(async () => {
  await client.close();
  await simulator.close();
});

async function lookAround(): Promise<void> {
  for (const path of [
    ...[
      '/version',
      '/cluster/nextid',
      '/cluster/status',
      '/cluster/resources',
      '/nodes',
      '/storage',
      '/storage/local',
    ],
    ...[
      '/nodes/pve1/status',
      '/nodes/pve1/version',
      '/nodes/pve1/network',
      '/nodes/pve1/storage',
      '/nodes/pve1/qemu',
    ],
    ...[
      '/nodes/pve1/certificates/info',
      '/nodes/pve1/dns',
      '/nodes/pve1/time',
      '/access/domains',
      '/nodes/pve1/qemu/9000/feature?feature=clone',
      '/nodes/pve1/storage/local-lvm/status',
      '/nodes/pve1/storage/local-lvm/content',
      '/nodes/pve1/tasks',
    ],
    ...[
      '/access/users',
      '/access/roles',
      '/access/roles/PVEVMAdmin',
      '/access/acl',
      '/access/permissions',
      '/pools',
    ],
  ])
    await client.ok('GET', path);
}

async function administer(version: string): Promise<void> {
  const login = { username: 'root@pam', password: 'root password' };
  expect(await client.ok('POST', '/access/ticket', login)).toMatchObject({ username: 'root@pam' });
  await client.ok('POST', '/access/users', { userid: 'dc@pve', comment: 'agent' });
  await client.ok('GET', '/access/users/dc@pve');
  await client.ok('POST', '/access/roles', { roleid: 'DcAgent', privs: 'VM.Audit' });
  await client.ok('PUT', '/access/roles/DcAgent', { privs: 'VM.Clone', append: '1' });
  await client.ok('POST', '/access/users/dc@pve/token/agent', { privsep: '1' });
  await client.ok('PUT', '/access/users/dc@pve/token/agent', { comment: 'x' });
  await client.ok('GET', '/access/users/dc@pve/token/agent');
  await client.ok('GET', '/access/users/dc@pve/token');
  await client.ok('POST', '/pools', { poolid: 'dc' });
  await client.ok('PUT', '/access/acl', { path: '/pool/dc', roles: 'DcAgent', tokens: 'dc@pve!agent' });
  if (version !== '7.4') await client.ok('PUT', '/pools', { poolid: 'dc', comment: 'ours' });
  await client.ok('PUT', '/pools/dc', { storage: 'local-lvm' });
  await client.ok('GET', '/pools/dc');
  await client.ok('PUT', '/pools/dc', { storage: 'local-lvm', delete: '1' });
}

async function clean(): Promise<void> {
  await client.ok('DELETE', '/pools/dc');
  await client.ok('DELETE', '/access/users/dc@pve/token/agent');
  await client.ok('DELETE', '/access/users/dc@pve');
  await client.ok('DELETE', '/access/roles/DcAgent');
}

async function makeVm(version: string): Promise<void> {
  const clone = { newid: '101', name: 'box', pool: 'dc', description: 'sealed' };
  const upid = String(await client.ok('POST', '/nodes/pve1/qemu/9000/clone', clone));
  expect(await client.ended(upid)).toBe('OK');
  await client.ok('GET', `/nodes/pve1/tasks/${encodeURIComponent(upid)}/log`);
  await client.ok('DELETE', `/nodes/pve1/tasks/${encodeURIComponent(upid)}`);
  await client.ok('PUT', `${VM}/config`, {
    ciuser: 'renter',
    cipassword: 'secret',
    ipconfig0: 'ip=dhcp',
    tags: 'dc;sealed',
    memory: '2048',
    cores: '2',
    sshkeys: encodeURIComponent('ssh-ed25519 AAAA a\n'),
  });
  await client.ok('GET', `${VM}/config`);
  await client.ok('GET', `${VM}/pending`);
  await client.ok('GET', `${VM}/cloudinit`);
  await client.ok('PUT', `${VM}/cloudinit`);
  const resized = await client.ok('PUT', `${VM}/resize`, { disk: 'scsi0', size: '8G' });
  if (version === '7.4') expect(resized).toBeNull();
  else expect(await client.ended(String(resized))).toBe('OK');
  expect(await client.task('POST', `${VM}/config`, { onboot: '1' })).toBe('OK');
  expect(await client.task('POST', `${VM}/status/start`)).toBe('OK');
}

async function askAgent(version: string): Promise<void> {
  await client.until(async () =>
    (await client.call('POST', `${VM}/agent/ping`)).status === 200 ? true : undefined,
  );
  for (const name of ['network-get-interfaces', 'get-osinfo', 'get-host-name', 'get-users', 'info'])
    await client.ok('GET', `${VM}/agent/${name}`);
  await client.ok('POST', `${VM}/agent/set-user-password`, {
    username: 'renter',
    password: 'another secret',
  });
  const command = version === '7.4' ? 'cat\0/etc/hostname' : ['cat', '/etc/hostname'];
  const { pid } = (await client.ok('POST', `${VM}/agent/exec`, { command })) as { pid: number };
  const status = await client.until(async () => {
    const answer = (await client.ok('GET', `${VM}/agent/exec-status`, { pid: String(pid) })) as {
      exited: number;
    };
    return answer.exited === 1 ? answer : undefined;
  });
  expect(status).toMatchObject({ exitcode: 0, 'out-data': 'box\n' });
  await client.ok('POST', `${VM}/agent/file-write`, { file: '/tmp/note', content: 'hello' });
  expect(await client.ok('GET', `${VM}/agent/file-read`, { file: '/tmp/note' })).toMatchObject({
    content: 'hello',
  });
}

async function switchAndSnapshot(): Promise<void> {
  await client.ok('GET', `${VM}/status/current`);
  expect(await client.task('POST', `${VM}/status/reset`)).toBe('OK');
  expect(await client.task('POST', `${VM}/status/reboot`)).toBe('OK');
  expect(await client.task('POST', `${VM}/snapshot`, { snapname: 'before', description: 'x' })).toBe('OK');
  await client.ok('GET', `${VM}/snapshot`);
  await client.ok('GET', `${VM}/snapshot/before/config`);
  expect(await client.task('POST', `${VM}/snapshot/before/rollback`)).toBe('OK');
  expect(await client.task('DELETE', `${VM}/snapshot/before`)).toBe('OK');
  expect(await client.task('POST', `${VM}/status/start`)).toBe('OK');
  expect(await client.task('POST', `${VM}/status/shutdown`, { forceStop: '1', timeout: '5' })).toBe('OK');
  expect(await client.task('POST', `${VM}/status/stop`)).toBe('OK');
  expect(await client.task('DELETE', VM, { purge: '1' })).toBe('OK');
}

async function makeTemplate(): Promise<void> {
  const image = {
    url: 'https://images.example/debian.qcow2',
    content: 'iso',
    filename: 'debian.img',
    checksum: 'ab',
    'checksum-algorithm': 'sha256',
  };
  expect(await client.task('POST', '/nodes/pve1/storage/local/download-url', image)).toBe('OK');
  const config = {
    vmid: '102',
    name: 'template',
    scsi0: 'local-lvm:0,import-from=local:iso/debian.img',
    ide2: 'local-lvm:cloudinit',
    net0: 'virtio,bridge=vmbr0',
    memory: '512',
  };
  expect(await client.task('POST', '/nodes/pve1/qemu', config)).toBe('OK');
  expect(await client.task('POST', `${NEW}/template`)).toBe('OK');
  expect(
    await client.task(
      'DELETE',
      `/nodes/pve1/storage/local/content/${encodeURIComponent('local:iso/debian.img')}`,
    ),
  ).toBe('OK');
}

// Without the vendor's files there is nothing to compare with.
describe.skipIf(whyNoOfficialSchema() !== null)('each request and each answer', () => {
  it.each(['7.4', '8.4', '9.1'])('fits the description of version %s, for every call', async (version) => {
    await start(version);
    await lookAround();
    await administer(version);
    await makeVm(version);
    await lookAround();
    await askAgent(version);
    await switchAndSnapshot();
    await makeTemplate();
    await clean();
    expect(simulator.observer.problems).toEqual([]);
    const all = simulator.routes.map(({ method, path }) => `${method} ${path}`);
    const { succeeded } = simulator.observer;
    expect(all.filter((name) => !succeeded.has(name))).toEqual([]);
    expect(`${succeeded.size} of ${all.length} calls checked`).toBe(
      `${all.length} of ${all.length} calls checked`,
    );
  });

  it('is seen to be checked: a wrong answer and a wrong request are found', async () => {
    await start('8.4');
    simulator.control.faults.add({ on: 'request', path: '/version', data: { version: 8, extra: true } });
    expect(await client.call('GET', '/version')).toMatchObject({
      status: 500,
      reason: expect.stringMatching(/extra: is not known.*release: is missing/) as string,
    });
    simulator.control.faults.add({
      on: 'request',
      path: '/nodes/pve1/qemu',
      data: [{ vmid: 7, status: 'paused' }],
    });
    expect(await client.call('GET', '/nodes/pve1/qemu')).toMatchObject({
      status: 500,
      reason: expect.stringMatching(/less than 100|none of stopped, running/) as string,
    });
    // Our own table lets this pass; the description knows that the agent has no such setting.
    expect(
      await client.call('PUT', '/nodes/pve1/qemu/9000/config', { agent: 'enabled=1,unknown=1' }),
    ).toMatchObject({ status: 500, reason: expect.stringContaining('unknown: is not known') as string });
    expect(simulator.observer.problems.length).toBeGreaterThan(2);
  });
});
