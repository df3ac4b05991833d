/** Clones, storages and their limits, through the API. */
import { describe, expect, it } from 'vitest';
import { simFixtures } from '../testing/sim-fixture.ts';

const start = simFixtures();
const GIB = 1024 ** 3;
const STORAGES = [
  { storage: 'files', type: 'dir' },
  { storage: 'thick', type: 'lvm' },
  { storage: 'thin', type: 'lvmthin' },
  { storage: 'pool', type: 'zfspool' },
  { storage: 'share', type: 'nfs' },
  { storage: 'ceph', type: 'rbd' },
] as const;

interface Config {
  readonly scsi0: string;
  readonly [key: string]: unknown;
}

describe('a linked clone', () => {
  it.each([
    ['files', 'files:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2,size=2G'],
    ['thin', 'thin:vm-101-disk-0,size=2G'],
    ['pool', 'pool:base-9000-disk-0/vm-101-disk-0,size=2G'],
    ['share', 'share:9000/base-9000-disk-0.raw/101/vm-101-disk-0.qcow2,size=2G'],
    ['ceph', 'ceph:base-9000-disk-0/vm-101-disk-0,size=2G'],
  ])('on %s is named as that kind names it', async (storage, volume) => {
    const { simulator, client } = await start({ storages: STORAGES });
    await simulator.control.addVm({ vmid: 9000, storage, template: true });
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' })).toBe('OK');
    expect(((await client.ok('GET', '/nodes/pve1/qemu/101/config')) as Config).scsi0).toBe(volume);
  });

  it('is not to be had where the storage has no such thing, nor of what is no template', async () => {
    const { simulator, client } = await start({ storages: STORAGES });
    await simulator.control.addVm({ vmid: 9000, storage: 'thick', template: true });
    await simulator.control.addVm({ vmid: 100, storage: 'thin' });
    const refused = { status: 500, reason: "Linked clone feature is not supported for drive 'scsi0'" };
    expect(await client.call('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' })).toMatchObject(refused);
    expect(
      await client.call('POST', '/nodes/pve1/qemu/100/clone', { newid: '101', full: '0' }),
    ).toMatchObject(refused);
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', full: '1' })).toBe('OK');
    expect(await client.task('POST', '/nodes/pve1/qemu/100/clone', { newid: '102' })).toBe('OK');
  });

  it('goes where its template is; another storage is for full clones', async () => {
    const { simulator, client } = await start({ storages: STORAGES });
    await simulator.control.addVm({ vmid: 9000, storage: 'thin', template: true });
    expect(
      await client.call('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', storage: 'pool' }),
    ).toMatchObject({ status: 500, reason: "parameter 'storage' not allowed for linked clones" });
    expect(
      await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', storage: 'pool', full: '1' }),
    ).toBe('OK');
    expect(((await client.ok('GET', '/nodes/pve1/qemu/101/config')) as Config).scsi0).toBe(
      'pool:vm-101-disk-0,size=2G',
    );
  });

  it('keeps its template from being destroyed', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true });
    await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' });
    expect(await client.task('DELETE', '/nodes/pve1/qemu/9000')).toBe(
      "base volume 'local-lvm:base-9000-disk-0' is still in use by linked cloned",
    );
    expect(await client.task('DELETE', '/nodes/pve1/qemu/101')).toBe('OK');
    expect(await client.task('DELETE', '/nodes/pve1/qemu/9000')).toBe('OK');
  });
});

describe('a clone to another node', () => {
  it('needs storage that both have', async () => {
    const { simulator, client } = await start({ storages: STORAGES, nodes: 2 });
    await simulator.control.addVm({ vmid: 9000, storage: 'thin', template: true });
    await simulator.control.addVm({ vmid: 9001, storage: 'share', template: true });
    const to = { newid: '101', target: 'pve2', full: '1' };
    expect(
      await client.call('POST', '/nodes/pve1/qemu/9000/clone', { ...to, storage: 'thin' }),
    ).toMatchObject({ status: 500, reason: "can't clone to non-shared storage 'thin'" });
    expect(await client.call('POST', '/nodes/pve1/qemu/9000/clone', to)).toMatchObject({
      status: 500,
      reason: expect.stringContaining("can't clone VM to node 'pve2'") as string,
    });
    const upid = String(await client.ok('POST', '/nodes/pve1/qemu/9001/clone', to));
    // Until it is done it is where its template is.
    expect(await client.ok('GET', '/nodes/pve1/qemu/101/config')).toMatchObject({ lock: 'clone' });
    expect(await client.ended(upid)).toBe('OK');
    expect(await client.ok('GET', '/nodes/pve2/qemu/101/status/current')).toMatchObject({
      status: 'stopped',
    });
  });
});

describe('a clone', () => {
  it('has addresses and ids of its own; the description is its template’s unless another is given', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true, config: { description: 'the template' } });
    await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', description: 'sealed' });
    await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '102' });
    const [template, first, second] = (await Promise.all(
      [9000, 101, 102].map((vmid) => client.ok('GET', `/nodes/pve1/qemu/${vmid}/config`)),
    )) as [Config, Config, Config];
    expect(new Set([template.net0, first.net0, second.net0]).size).toBe(3);
    expect(new Set([template.smbios1, first.smbios1, second.smbios1]).size).toBe(3);
    expect([first.description, second.description, first.template]).toEqual([
      'sealed',
      'the template',
      undefined,
    ]);
    expect(first.ide2).toBe('local-lvm:vm-101-cloudinit,media=cdrom');
  });

  it('takes its number at once: of two that ask for one number, one gets it', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true });
    expect(await client.ok('GET', '/cluster/nextid')).toBe('100');
    expect(await client.ok('GET', '/cluster/nextid')).toBe('100');
    const clone = () => client.call('POST', '/nodes/pve1/qemu/9000/clone', { newid: '100' });
    const answers = await Promise.all([clone(), clone()]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 500]);
    expect(answers.find(({ status }) => status === 500)?.reason).toBe(
      'unable to create VM 100: config file already exists',
    );
    expect(await client.ok('GET', '/cluster/nextid')).toBe('101');
    expect(await client.call('GET', '/cluster/nextid', { vmid: '9000' })).toMatchObject({
      status: 400,
      body: { errors: { vmid: 'VM 9000 already exists' } },
    });
  });

  it('is locked while it is made: it cannot be changed, started or destroyed', async () => {
    const { simulator, client } = await start({ timing: { linkedCloneMs: 300 } });
    await simulator.control.addVm({ vmid: 9000, template: true });
    const upid = String(await client.ok('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' }));
    const VM = '/nodes/pve1/qemu/101';
    const locked = { status: 500, reason: 'VM is locked (clone)' };
    expect(await client.ok('GET', `${VM}/config`)).toMatchObject({ lock: 'clone', name: 'Copy-of-vm-9000' });
    expect(await client.call('PUT', `${VM}/config`, { cores: '2' })).toMatchObject(locked);
    expect(await client.call('POST', `${VM}/status/start`)).toMatchObject(locked);
    expect(await client.call('DELETE', VM)).toMatchObject(locked);
    expect(await client.ended(upid)).toBe('OK');
    expect(await client.ok('GET', `${VM}/config`)).not.toHaveProperty('lock');
  });

  it('that fails leaves nothing behind', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true });
    simulator.control.faults.add({ on: 'task', type: 'qmclone', fail: 'the disk is on fire' });
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' })).toBe(
      'clone failed: the disk is on fire',
    );
    expect(await client.call('GET', '/nodes/pve1/qemu/101/config')).toMatchObject({ status: 500 });
    const content = (await client.ok('GET', '/nodes/pve1/storage/local-lvm/content')) as { volid: string }[];
    expect(content.map(({ volid }) => volid)).toEqual(['local-lvm:base-9000-disk-0']);
  });
});

describe('a storage', () => {
  it('that is full fails the clone, and is not full for a linked one', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true });
    const free = simulator.control.fillStorage('local-lvm', GIB);
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', full: '1' })).toMatch(
      /^clone failed: .*reached threshold/,
    );
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '102' })).toBe('OK');
    const resized = await client.task('PUT', '/nodes/pve1/qemu/102/resize', { disk: 'scsi0', size: '+8G' });
    expect(resized).toMatch(/reached threshold/);
    free();
    expect(await client.task('PUT', '/nodes/pve1/qemu/102/resize', { disk: 'scsi0', size: '+8G' })).toBe(
      'OK',
    );
    expect(((await client.ok('GET', '/nodes/pve1/qemu/102/config')) as Config).scsi0).toBe(
      'local-lvm:vm-102-disk-0,size=10G',
    );
    expect(
      await client.call('PUT', '/nodes/pve1/qemu/102/resize', { disk: 'scsi0', size: '1G' }),
    ).toMatchObject({ status: 500, reason: 'shrinking disks is not supported' });
  });

  it('that does not exist or is off is named', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true });
    const clone = (storage: string) =>
      client.call('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', full: '1', storage });
    expect((await clone('nowhere')).reason).toBe("storage 'nowhere' does not exist");
    simulator.control.disableStorage('local');
    expect((await clone('local')).reason).toBe("storage 'local' is disabled");
  });

  it('lets one at a time allocate, and who waits too long gives up', async () => {
    const { simulator, client } = await start({ timing: { storageLockMs: 300, lockTimeoutMs: 450 } });
    await simulator.control.addVm({ vmid: 9000, template: true, without: ['ide2'] });
    const clones = ['101', '102', '103'].map((newid) =>
      client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid }),
    );
    const timedOut =
      "clone failed: can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout";
    expect(await Promise.all(clones)).toEqual(['OK', 'OK', timedOut]);
    expect(await client.call('GET', '/nodes/pve1/qemu/103/config')).toMatchObject({ status: 500 });
  });
});
