/** VMs through the API: configuration, templates, snapshots, states, tasks. */
import { describe, expect, it } from 'vitest';
import { ManualClock, settle } from '@dc/shared/testing/manual-clock';
import { simFixtures } from '../testing/sim-fixture.ts';

const start = simFixtures();
const VM = '/nodes/pve1/qemu/101';

async function startWithVm(options: Parameters<typeof start>[0] = {}) {
  const fixture = await start(options);
  await fixture.simulator.control.addVm({ vmid: 101, name: 'box' });
  const config = async () => (await fixture.client.ok('GET', `${VM}/config`)) as Record<string, unknown>;
  return { ...fixture, config };
}

describe('a configuration', () => {
  it('changes at once on a VM that is off, and what waits for a start waits on one that runs', async () => {
    const { client, config } = await startWithVm();
    await client.ok('PUT', `${VM}/config`, { cores: '2' });
    expect(await config()).toMatchObject({ cores: 2 });
    await client.task('POST', `${VM}/status/start`);
    await client.ok('PUT', `${VM}/config`, { cores: '4', description: 'at once', delete: 'ostype' });
    expect(await client.ok('GET', `${VM}/config`, { current: '1' })).toMatchObject({
      cores: 2,
      description: 'at once',
      ostype: 'l26',
    });
    expect(await client.ok('GET', `${VM}/pending`)).toEqual(
      expect.arrayContaining([
        { key: 'cores', value: 2, pending: 4 },
        { key: 'ostype', value: 'l26', delete: 1 },
      ]),
    );
    await client.task('POST', `${VM}/status/stop`);
    await client.task('POST', `${VM}/status/start`);
    expect(await client.ok('GET', `${VM}/config`, { current: '1' })).toMatchObject({ cores: 4 });
    expect(await config()).not.toHaveProperty('ostype');
  });

  it('is not changed by who has seen an older one', async () => {
    const { client, config } = await startWithVm();
    const { digest } = await config();
    await client.ok('PUT', `${VM}/config`, { description: 'other', digest: String(digest) });
    expect(
      await client.call('PUT', `${VM}/config`, { description: 'mine', digest: String(digest) }),
    ).toMatchObject({
      status: 500,
      reason: expect.stringContaining('detected modified configuration') as string,
    });
  });

  it('hides the password, keeps it hashed, and shows what cloud-init has not seen', async () => {
    const { simulator, client, config } = await startWithVm();
    await client.ok('PUT', `${VM}/config`, { cipassword: 'secret', ciuser: 'renter' });
    expect(await config()).toMatchObject({ cipassword: '**********' });
    expect(simulator.control.cluster.vms.get(101)?.config.get('cipassword')).toMatch(/^\$5\$/);
    expect(await client.ok('GET', `${VM}/cloudinit`)).toContainEqual({ key: 'ciuser', pending: 'renter' });
    await client.ok('PUT', `${VM}/cloudinit`);
    expect(await client.ok('GET', `${VM}/cloudinit`)).toContainEqual({ key: 'ciuser', value: 'renter' });
  });

  it.each([
    [{ sshkeys: 'ssh-ed25519 AAAA not encoded' }, 'sshkeys', 'urlencoded'],
    [{ sshkeys: 'nonsense' }, 'sshkeys', 'SSH public key'],
    [{ tags: 'a b;c!' }, 'tags', 'invalid characters'],
    [{ ipconfig0: 'ip=10.0.0.1' }, 'ipconfig0', 'IPv4'],
    [{ net0: 'bridge=vmbr0' }, 'net0', 'model'],
    [{ cores: 'two' }, 'cores', "type check ('integer') failed - got 'two'"],
    [{ cores: '0' }, 'cores', 'minimum value of 1'],
    [{ name: 'not a name' }, 'name', 'DNS name'],
    [{ nonsense: '1' }, 'nonsense', 'not defined in schema'],
  ])('that is wrong is refused with the parameter that is: %j', async (params, name, words) => {
    const { client } = await startWithVm();
    const answer = await client.call('PUT', `${VM}/config`, params);
    expect(answer).toMatchObject({ status: 400, reason: 'Parameter verification failed.' });
    expect((answer.body.errors as Record<string, string>)[name]).toContain(words);
  });

  it('keeps a disk that is taken off as unused, and removes it when that is taken off', async () => {
    const { client, config } = await startWithVm();
    await client.ok('PUT', `${VM}/config`, { scsi1: 'local-lvm:4' });
    expect(await config()).toMatchObject({ scsi1: 'local-lvm:vm-101-disk-1,size=4G' });
    await client.ok('PUT', `${VM}/config`, { delete: 'scsi1' });
    expect(await config()).toMatchObject({ unused0: 'local-lvm:vm-101-disk-1' });
    await client.ok('PUT', `${VM}/config`, { delete: 'unused0' });
    const content = (await client.ok('GET', '/nodes/pve1/storage/local-lvm/content', {
      vmid: '101',
    })) as unknown[];
    expect(content).toHaveLength(1);
  });

  it('sorts tags, gives a new card an address, and keeps an old one its own', async () => {
    const { client, config } = await startWithVm();
    await client.ok('PUT', `${VM}/config`, { tags: 'zebra;ape,ape', net1: 'virtio,bridge=vmbr0' });
    const before = await config();
    expect(before).toMatchObject({
      tags: 'ape;zebra',
      net1: expect.stringMatching(/^virtio=BC:24:11:[0-9A-F:]{8},bridge=vmbr0$/) as string,
    });
    await client.ok('PUT', `${VM}/config`, { net1: 'virtio,bridge=vmbr0,firewall=1' });
    expect((await config()).net1).toBe(`${String(before.net1)},firewall=1`);
  });
});

describe('starting', () => {
  it('fails where the node has no such bridge, or not the memory, or it runs already', async () => {
    const { client } = await startWithVm({ nodes: [{ name: 'pve1', memoryBytes: 2 * 1024 ** 3 }] });
    await client.ok('PUT', `${VM}/config`, { net0: 'virtio,bridge=vmbr7' });
    expect(await client.task('POST', `${VM}/status/start`)).toBe("bridge 'vmbr7' does not exist");
    await client.ok('PUT', `${VM}/config`, { net0: 'virtio,bridge=vmbr0', memory: '4096' });
    expect(await client.task('POST', `${VM}/status/start`)).toContain('Cannot allocate memory');
    await client.ok('PUT', `${VM}/config`, { memory: '1024' });
    expect(await client.task('POST', `${VM}/status/start`)).toBe('OK');
    expect(await client.task('POST', `${VM}/status/start`)).toBe('VM 101 already running');
    expect(await client.call('DELETE', VM)).toMatchObject({
      status: 500,
      reason: 'VM 101 is running - destroy failed',
    });
  });
});

describe('a template', () => {
  it('is made of a VM that is off and has no snapshots, once, and never starts', async () => {
    const { client, config } = await startWithVm();
    await client.task('POST', `${VM}/status/start`);
    expect(await client.call('POST', `${VM}/template`)).toMatchObject({
      status: 500,
      reason: expect.stringContaining('running') as string,
    });
    await client.task('POST', `${VM}/status/stop`);
    await client.task('POST', `${VM}/snapshot`, { snapname: 'one' });
    expect(await client.call('POST', `${VM}/template`)).toMatchObject({
      status: 500,
      reason: expect.stringContaining('snapshots') as string,
    });
    await client.task('DELETE', `${VM}/snapshot/one`);
    expect(await client.task('POST', `${VM}/template`)).toBe('OK');
    expect(await config()).toMatchObject({ template: 1, scsi0: 'local-lvm:base-101-disk-0,size=2G' });
    expect(await client.call('POST', `${VM}/template`)).toMatchObject({
      status: 500,
      reason: "you can't convert a template to a template",
    });
    expect(await client.task('POST', `${VM}/status/start`)).toBe("you can't start a vm if it's a template");
  });
});

describe('destroying', () => {
  it('is refused while the VM is protected', async () => {
    const { client } = await startWithVm();
    await client.ok('PUT', `${VM}/config`, { protection: '1' });
    expect(await client.call('DELETE', VM)).toMatchObject({
      status: 500,
      reason: "can't remove VM 101 - protection mode enabled",
    });
  });
});

describe('snapshots', () => {
  it('bring back what was on the disk and in the configuration', async () => {
    const { client, config } = await startWithVm();
    expect(await client.task('POST', `${VM}/snapshot`, { snapname: 'before' })).toBe('OK');
    await client.ok('PUT', `${VM}/config`, { cores: '8' });
    expect(await client.task('POST', `${VM}/snapshot/before/rollback`)).toBe('OK');
    expect(await config()).toMatchObject({ cores: 1, parent: 'before' });
    expect(await client.call('POST', `${VM}/snapshot`, { snapname: 'before' })).toMatchObject({
      status: 500,
      reason: "snapshot name 'before' already used",
    });
    expect(await client.call('DELETE', `${VM}/snapshot/never`)).toMatchObject({
      status: 500,
      reason: "snapshot 'never' does not exist",
    });
  });

  it('are not to be had on a storage without them', async () => {
    const { simulator, client } = await start({ storages: [{ storage: 'thick', type: 'lvm' }] });
    await simulator.control.addVm({ vmid: 101, storage: 'thick' });
    expect(await client.call('POST', `${VM}/snapshot`, { snapname: 'one' })).toMatchObject({
      status: 500,
      reason: 'snapshot feature is not available',
    });
  });
});

describe('what lists say', () => {
  it('is as old as the last round of statistics, while a VM’s own state is new', async () => {
    const { simulator, client } = await start({ timing: { statisticsMs: 400 } });
    await simulator.control.addVm({ vmid: 9000, template: true });
    const seen = async () => {
      const list = (await client.ok('GET', '/cluster/resources', { type: 'vm' })) as {
        vmid: number;
        status: string;
      }[];
      return list.find(({ vmid }) => vmid === 101)?.status;
    };
    await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' });
    await client.until(async () => ((await seen()) === 'stopped' ? true : undefined));
    await client.task('POST', `${VM}/status/start`);
    expect(await client.ok('GET', `${VM}/status/current`)).toMatchObject({ status: 'running' });
    await client.until(async () => ((await seen()) === 'running' ? true : undefined));
  });
});

describe('tasks', () => {
  it('are listed newest first, by number, type and outcome, and their logs come in pages', async () => {
    const { simulator, client } = await startWithVm();
    await client.task('POST', `${VM}/status/start`);
    await client.task('POST', `${VM}/status/start`);
    const list = async (params: Record<string, string>) =>
      ((await client.ok('GET', '/nodes/pve1/tasks', params)) as { type: string; status: string }[]).map(
        ({ type, status }) => `${type} ${status}`,
      );
    expect(await list({ vmid: '101' })).toEqual(['qmstart VM 101 already running', 'qmstart OK']);
    expect(await list({ errors: '1' })).toHaveLength(1);
    expect(await list({ typefilter: 'qmstop' })).toEqual([]);
    const upid = simulator.control.cluster.tasks.start(
      { node: 'pve1', type: 'vzdump', id: '101', authId: 'root@pam' },
      async (run) => {
        for (let line = 1; line <= 120; line++) run.log(`line ${line}`);
      },
    );
    await client.ended(upid);
    const page = async (params: Record<string, string>) =>
      client.call('GET', `/nodes/pve1/tasks/${encodeURIComponent(upid)}/log`, params);
    expect((await page({})).data).toHaveLength(50);
    expect((await page({})).body.total).toBe(121);
    expect((await page({ start: '100', limit: '0' })).data).toHaveLength(21);
    expect((await page({ start: '120' })).data).toEqual([{ n: 121, t: 'TASK OK' }]);
  });

  it('are asked about on their own node, by their whole name', async () => {
    const { client } = await startWithVm({ nodes: 2 });
    const upid = String(await client.ok('POST', `${VM}/status/start`));
    const ask = (node: string, name: string) =>
      client.call('GET', `/nodes/${node}/tasks/${encodeURIComponent(name)}/status`);
    expect(await ask('pve1', upid)).toMatchObject({ status: 200 });
    expect(await ask('pve2', upid)).toMatchObject({ status: 400 });
    expect(await ask('pve1', 'UPID:pve1:0')).toMatchObject({
      status: 400,
      body: { errors: { upid: 'unable to parse worker upid' } },
    });
  });
});

describe('time', () => {
  it('is virtual where the clock is: a clone of 25 seconds is done when they have passed', async () => {
    const clock = new ManualClock();
    const { simulator, client } = await start({ clock, timing: { fullCloneMs: 25_000, storageLockMs: 0 } });
    const adding = simulator.control.addVm({ vmid: 9000, template: true });
    await clock.advance(1);
    await adding;
    const upid = String(await client.ok('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', full: '1' }));
    const status = async () =>
      ((await client.ok('GET', `/nodes/pve1/tasks/${encodeURIComponent(upid)}/status`)) as { status: string })
        .status;
    await clock.advance(24_000);
    expect(await status()).toBe('running');
    await clock.advance(2_000);
    await settle();
    expect(await status()).toBe('stopped');
    expect(clock.timerCount).toBe(0);
  });

  it('does not keep a simulator from closing, whatever it waits for', async () => {
    const clock = new ManualClock();
    const { simulator, client } = await start({ clock });
    const adding = simulator.control.addVm({ vmid: 9000, template: true });
    await clock.advance(1_000);
    await adding;
    simulator.control.holdStorageLock('local-lvm', 'pve1');
    for (const newid of ['101', '102']) await client.ok('POST', '/nodes/pve1/qemu/9000/clone', { newid });
    await clock.advance(1_000);
    await simulator.close();
    expect(clock.timerCount).toBe(0);
  });
});
