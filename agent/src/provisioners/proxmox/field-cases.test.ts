/** The twenty ways in which rentals on Proxmox VE were lost elsewhere, each by name, on the simulator. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import type { RequestRule } from '../../pve-sim/faults/fault-script.ts';
import type { Instance } from '../provisioner.ts';
import type { MadeStage } from '../made-stages.ts';
import type { ProxmoxProvisioner } from './proxmox-provisioner.ts';
import {
  POOL,
  ProxmoxFixture,
  TEMPLATE,
  VMID_FIRST,
  type FixtureOptions,
} from './testing/proxmox-fixture.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Stage {
  readonly fixture: ProxmoxFixture;
  readonly driver: ProxmoxProvisioner;
  /** Orders one more instance. */
  readonly make: () => Promise<Instance>;
}

async function setUp(options: FixtureOptions = {}, leastPrivileges = false): Promise<Stage> {
  const fixture = await ProxmoxFixture.make(options);
  closers.push(() => fixture.dispose());
  if (leastPrivileges) await fixture.useLeastPrivileges();
  const driver = await fixture.open();
  closers.push(() => driver.close());
  return { fixture, driver, make: () => driver.create(fixture.request(), fixture.signal) };
}

const fails = (promise: Promise<unknown>): Promise<{ code: string; said: string }> =>
  promise.then(
    () => ({ code: 'none', said: '' }),
    (error: unknown) =>
      isAppError(error)
        ? { code: error.code, said: `${error.message} ${error.remedy ?? ''}` }
        : { code: 'no AppError', said: String(error) },
  );
const count = ({ simulator }: ProxmoxFixture, call: string): number =>
  simulator.observer.counts.get(call) ?? 0;
const CLONE = 'POST /nodes/{node}/qemu/{vmid}/clone';

describe('Field case', { timeout: 20_000 }, () => {
  it('1: storage locks that time out when several are cloned at once are waited out', async () => {
    const busy = {
      status: 500,
      reason: "can't lock file '/var/lock/pve-manager/pve-storage-local-lvm' - got timeout",
    };
    const { make } = await setUp({
      faults: {
        rules: [
          { on: 'request', method: 'POST', path: '*/clone', nth: [2], answer: busy },
          { on: 'task', type: 'qmclone', nth: [3], fail: busy.reason },
        ],
      },
    });
    const made = await Promise.all(Array.from({ length: 5 }, make));
    expect(new Set(made.map(({ handle }) => handle.id)).size).toBe(5);
  });

  it('2: a VMID that somebody took in between is left alone, and the next one is claimed', async () => {
    const { fixture, make } = await setUp({ driver: { pool: POOL } }, true);
    // Outside of the pool: the token does not see it in any list.
    await fixture.simulator.control.addVm({ vmid: VMID_FIRST, name: 'demo' });
    const before = JSON.stringify([...fixture.vm(VMID_FIRST)!.config]);
    expect((await make()).handle['vmid']).toBe(VMID_FIRST + 1);
    expect(JSON.stringify([...fixture.vm(VMID_FIRST)!.config])).toBe(before);
  });

  it('3: a VMID is not used again, and what has it later is not destroyed in the place of ours', async () => {
    const { fixture, driver, make } = await setUp();
    const { handle, seal } = await make();
    await driver.destroy(handle, seal!, fixture.signal);
    expect((await make()).handle['vmid']).toBe(VMID_FIRST + 1);
    await fixture.simulator.control.addVm({ vmid: VMID_FIRST, name: 'demo' });
    expect(await fails(driver.destroy(handle, seal!, fixture.signal))).toMatchObject({
      code: 'PROVISIONER_FOREIGN',
    });
    expect(fixture.vmids()).toContain(VMID_FIRST);
  });

  it('4: a clone whose answer was lost is found again by its seal, never by “already exists” alone', async () => {
    const lost: RequestRule = {
      on: 'request',
      method: 'POST',
      path: '*/clone',
      nth: [1],
      when: 'after',
      cut: true,
    };
    const { fixture, driver } = await setUp({ faults: { rules: [lost] } });
    const request = fixture.request();
    expect(await fails(driver.create(request, fixture.signal))).toMatchObject({
      code: 'PROVISIONER_UNAVAILABLE',
    });
    const { handle } = await driver.create(request, fixture.signal);
    expect(handle['vmid']).toBe(VMID_FIRST);
    expect(fixture.vmids()).toEqual([VMID_FIRST]);
    fixture.simulator.control.faults.add({ ...lost, when: 'before' });
    const other = fixture.request();
    expect(await fails(driver.create(other, fixture.signal))).toMatchObject({
      code: 'PROVISIONER_UNAVAILABLE',
    });
    await fixture.simulator.control.addVm({ vmid: VMID_FIRST + 1, name: 'demo' });
    expect((await driver.create(other, fixture.signal)).handle['vmid']).toBe(VMID_FIRST + 2);
  });

  it('5: a task that is unknown at first, and one of another node, is waited for where its UPID says', async () => {
    const { fixture, make } = await setUp({
      nodes: 2,
      withoutTemplate: true,
      timing: { taskUnknownMs: 200 },
    });
    await fixture.simulator.control.addVm({
      vmid: TEMPLATE,
      name: 'debian-12',
      node: 'pve2',
      template: true,
    });
    expect((await make()).power).toBe('running');
    expect(fixture.vm(VMID_FIRST)!.node).toBe('pve2');
  });

  it('6: WARNINGS are a success, and kept with their stage', async () => {
    const { fixture, driver } = await setUp({
      faults: {
        rules: ['qmclone', 'qmstart'].map((type) => ({
          on: 'task' as const,
          type,
          warnings: ['no efidisk'],
        })),
      },
    });
    const stages: MadeStage[] = [];
    const tell = (stage: MadeStage): void => void stages.push(stage);
    expect((await driver.create(fixture.request(), fixture.signal, tell)).power).toBe('running');
    expect(stages.map(({ name, warnings = [] }) => [name, ...warnings])).toEqual([
      ['linked_clone', 'WARN: no efidisk'],
      ['configure'],
      ['start', 'WARN: no efidisk'],
      ['first_login'],
    ]);
  });

  it('7: a start that says that it failed, or nothing, is judged by whether the VM runs', async () => {
    const { fixture, make } = await setUp({
      faults: {
        rules: [
          { on: 'task', type: 'qmstart', nth: [1], failAfter: 'got no answer from the monitor' },
          {
            on: 'request',
            method: 'POST',
            path: '*/status/start',
            nth: [2],
            when: 'after',
            answer: { status: 599, reason: 'Too many redirections' },
          },
        ],
      },
    });
    expect((await make()).power).toBe('running');
    expect((await make()).power).toBe('running');
    expect(fixture.vmids()).toHaveLength(2);
  });

  it('8: a node that is down hides nothing of the others, and proves nothing of its own', async () => {
    const { fixture, driver } = await setUp({ nodes: 3, withoutTemplate: true });
    const { control } = fixture.simulator;
    await control.addVm({ vmid: TEMPLATE, name: 'debian-12', node: 'pve1', template: true });
    await control.addVm({ vmid: TEMPLATE + 1, name: 'debian-12', node: 'pve2', template: true });
    const made = [
      await driver.create(fixture.request(), fixture.signal),
      await driver.create(fixture.request(), fixture.signal),
    ];
    const onSecond = made.find(({ handle }) => fixture.vm(Number(handle['vmid']))!.node === 'pve2')!;
    const onFirst = made.find(({ handle }) => fixture.vm(Number(handle['vmid']))!.node === 'pve1')!;
    const bringBack = control.takeNodeDown('pve2');
    const list = await driver.list(fixture.signal);
    expect(list).toMatchObject({ complete: false, problem: expect.stringContaining('pve2') as string });
    expect(list.instances.map(({ handle }) => handle.id)).toEqual([onFirst.handle.id]);
    expect(await driver.inspect(onSecond.handle, fixture.signal)).toMatchObject({ existence: 'unknown' });
    bringBack();
    expect(await driver.inspect(onSecond.handle, fixture.signal)).toMatchObject({ existence: 'present' });
  });

  it('9: without a quorum nothing is made, nothing counts as gone, and nothing is offered', async () => {
    const { fixture, driver, make } = await setUp({ nodes: 3 });
    const { handle, seal } = await make();
    await driver.destroy(handle, seal!, fixture.signal);
    const bringBack = fixture.simulator.control.loseQuorum();
    expect(await fails(make())).toMatchObject({
      code: 'PROVISIONER_UNAVAILABLE',
      said: expect.stringContaining('quorum') as string,
    });
    expect(await driver.inspect(handle, fixture.signal)).toMatchObject({ existence: 'unknown' });
    expect(await driver.list(fixture.signal)).toMatchObject({ complete: false });
    expect(await driver.fingerprint(fixture.signal)).toMatchObject({ healthy: false, freeCapacity: null });
    bringBack();
    expect(await driver.inspect(handle, fixture.signal)).toMatchObject({ existence: 'absent' });
  });

  it('10: a VM is made on a node that has the template, never copied from a storage that it does not share', async () => {
    const { fixture, make } = await setUp({ nodes: 2, withoutTemplate: true });
    const { control } = fixture.simulator;
    await control.addVm({ vmid: TEMPLATE, name: 'debian-12', node: 'pve2', template: true });
    await make();
    expect(fixture.vm(VMID_FIRST)!.node).toBe('pve2');
    await control.addVm({ vmid: TEMPLATE + 1, name: 'debian-12', node: 'pve1', template: true });
    await make();
    expect(fixture.vm(VMID_FIRST + 1)!.node).toBe('pve1');
  });

  it('11: a template without a cloud-init drive is refused by name before anything is made', async () => {
    const { fixture, make } = await setUp({ withoutTemplate: true });
    await fixture.simulator.control.addVm({
      vmid: TEMPLATE,
      name: 'debian-12',
      template: true,
      without: ['ide2'],
    });
    expect(await fails(make())).toMatchObject({
      code: 'PROVISIONER_SPEC_UNSUPPORTED',
      said: expect.stringContaining('cloud-init drive') as string,
    });
    expect(count(fixture, CLONE)).toBe(0);
  });

  it('12: a missing guest agent is made up for by the neighbours; a deadline names the channels that failed', async () => {
    const leases: string[] = [];
    const { fixture, driver } = await setUp({
      faults: { rules: [{ on: 'boot', agent: 'missing' }] },
      onLease: ({ address, mac }) => leases.push(`${address} 0x1 0x2 ${mac} * vmbr0`),
    });
    const table = join(fixture.folder, 'arp');
    await driver.close();
    const patient = await fixture.open({ neighbours_file: table });
    closers.push(() => patient.close());
    await writeFile(table, '');
    const making = patient.create(fixture.request(), fixture.signal);
    await expect.poll(() => leases.length).toBe(1);
    await writeFile(table, ['IP address HW type Flags HW address Mask Device', ...leases].join('\n'));
    expect((await making).ssh?.host).toBe(leases[0]!.split(' ')[0]);
    await patient.close();
    const blind = await fixture.open({ neighbours_file: join(fixture.folder, 'none'), ready_timeout_s: 1 });
    closers.push(() => blind.close());
    expect((await fails(blind.create(fixture.request(), fixture.signal))).said).toMatch(
      /Guest agent: did not answer\. Address: none was seen\. SSH: was not asked/,
    );
  });

  it('13: the address is that of net0, whatever other cards the guest has', async () => {
    const { fixture, make } = await setUp({
      driver: { guest_networks: ['127.64.0.0/10', '172.17.0.0/16', '100.64.0.0/10'] },
      faults: {
        rules: [{ on: 'boot', extraInterfaces: { docker0: '172.17.0.1', tailscale0: '100.64.0.9' } }],
      },
    });
    const { ssh } = await make();
    expect(ssh?.host).toMatch(/^127\./);
    expect(fixture.vmids()).toHaveLength(1);
  });

  it('14: clones that share a machine-id are not handed out', async () => {
    const { fixture, make } = await setUp();
    fixture.simulator.control.setMachineId(TEMPLATE, '0123456789abcdef0123456789abcdef');
    await make();
    const second = await fails(make());
    expect(second.code).toBe('PROVISIONER_FAILED');
    expect(second.said).toContain('/etc/machine-id');
  });

  it('15: a resize that fails right after the clone is tried again, and the clone is not', async () => {
    const { fixture, make } = await setUp({
      faults: {
        rules: [
          {
            on: 'request',
            method: 'PUT',
            path: '*/resize',
            nth: [1],
            answer: { status: 500, reason: "volume 'local-lvm:vm-20000-disk-0' does not exist" },
          },
        ],
      },
    });
    await make();
    expect(fixture.vm(VMID_FIRST)!.config.get('scsi0')).toContain('size=5G');
    expect(count(fixture, CLONE)).toBe(1);
  });

  it('16: a clone that failed half way leaves nothing behind, and its VMID is not used again', async () => {
    const { fixture, make } = await setUp({
      faults: { rules: [{ on: 'task', type: 'qmclone', nth: [1], fail: 'disk image was broken' }] },
    });
    const request = fixture.request();
    const driver = await fixture.open();
    closers.push(() => driver.close());
    expect(await fails(driver.create(request, fixture.signal))).toMatchObject({ code: 'PROVISIONER_FAILED' });
    expect(fixture.vmids()).toEqual([]);
    expect((await make()).handle['vmid']).toBe(VMID_FIRST + 1);
  });

  it('17: destroying waits for the stop and for the removal, and says gone only when it is', async () => {
    const { fixture, driver, make } = await setUp({
      timing: { stopMs: 300, destroyMs: 300 },
      faults: { rules: [{ on: 'task', type: 'qmdestroy', nth: [1], fail: 'storage is busy' }] },
    });
    const { handle, seal } = await make();
    expect((await fails(driver.destroy(handle, seal!, fixture.signal))).code).toBe('PROVISIONER_FAILED');
    expect(await driver.inspect(handle, fixture.signal)).toMatchObject({ existence: 'present' });
    expect(await driver.destroy(handle, seal!, fixture.signal)).toEqual({ destroyed: true });
    expect(fixture.vmids()).toEqual([]);
  });

  it('18: a lock that a crash left is named with the command that clears it, and nothing is done to the VM', async () => {
    const { fixture, driver, make } = await setUp();
    const { handle, seal } = await make();
    await driver.stop(handle, seal!, fixture.signal);
    const unlock = fixture.simulator.control.lockVm(VMID_FIRST, 'backup');
    const found = await driver.inspect(handle, fixture.signal);
    expect(found).toMatchObject({
      instance: { problem: expect.stringContaining(`qm unlock ${VMID_FIRST}`) as string },
    });
    const refused = await fails(driver.destroy(handle, seal!, fixture.signal));
    expect(refused).toMatchObject({ code: 'PROVISIONER_UNAVAILABLE' });
    expect(refused.said).toContain('qm unlock');
    expect(fixture.vm(VMID_FIRST)!.lock).toBe('backup');
    unlock();
    expect(await driver.destroy(handle, seal!, fixture.signal)).toEqual({ destroyed: true });
  });

  it('19: a storage is sold only up to its reserve, and a full one is said to be full', async () => {
    const { fixture, driver, make } = await setUp();
    const before = await driver.fingerprint(fixture.signal);
    const total = fixture.simulator.control.cluster.storages.find('local-lvm')!.totalBytes / 1024 ** 3;
    expect(before.freeCapacity!.diskGb).toBeLessThanOrEqual(total * 0.85);
    fixture.simulator.control.fillStorage('local-lvm');
    expect((await driver.fingerprint(fixture.signal)).freeCapacity).toMatchObject({ diskGb: 0 });
    expect(await fails(make())).toMatchObject({ code: 'PROVISIONER_EXHAUSTED' });
    expect(fixture.vmids()).toEqual([]);
  });

  it('20: after the host went down VMs come up again, and no more memory is promised than it has', async () => {
    const { fixture, driver, make } = await setUp({
      nodes: [{ name: 'pve1', memoryBytes: 3_200 * 1024 ** 2 }],
    });
    const instance = await make();
    expect(fixture.vm(VMID_FIRST)!.config.get('onboot')).toBe('1');
    fixture.simulator.control.switchOff(VMID_FIRST);
    expect(await driver.inspect(instance.handle, fixture.signal)).toMatchObject({
      instance: { power: 'stopped' },
    });
    const again = await driver.start(instance.handle, instance.seal!, fixture.signal);
    expect(again).toMatchObject({ instance: { power: 'running', ssh: instance.ssh } });
    await make();
    expect(await fails(make())).toMatchObject({ code: 'PROVISIONER_EXHAUSTED' });
  });
});
