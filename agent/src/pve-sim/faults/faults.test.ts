/** What can go wrong on purpose, seen through the API. */
import { describe, expect, it } from 'vitest';
import type { PveSimulator } from '../start-pve-simulator.ts';
import type { SimClient } from '../testing/sim-client.ts';
import { simFixtures } from '../testing/sim-fixture.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { scheduleEvents } from './timed-events.ts';
import { parseFaultScript } from './fault-script.ts';

const start = simFixtures();
const VM = '/nodes/pve1/qemu/101';
const START = `${VM}/status/start`;

/** The headers of root, logged in with a password. */
async function logIn({ control }: PveSimulator, client: SimClient): Promise<Record<string, string>> {
  control.cluster.access.users.get('root@pam')!.password = 'secret';
  const answer = await client.ok('POST', '/access/ticket', { username: 'root@pam', password: 'secret' });
  const { ticket, CSRFPreventionToken } = answer as { ticket: string; CSRFPreventionToken: string };
  return { cookie: `PVEAuthCookie=${encodeURIComponent(ticket)}`, csrfpreventiontoken: CSRFPreventionToken };
}

describe('requests', () => {
  it('are answered with what a proxy says, before or after the work, at the times that are named', async () => {
    const { simulator, client } = await start({
      faults: parseFaultScript({
        rules: [
          {
            on: 'request',
            method: 'POST',
            path: '/nodes/*/qemu/*/clone',
            nth: [1],
            answer: { status: 596, reason: 'Connection timed out' },
          },
          {
            on: 'request',
            method: 'POST',
            path: '/nodes/*/qemu/*/clone',
            nth: [1],
            when: 'after',
            answer: { status: 599, reason: 'Too many redirections' },
          },
        ],
      }),
    });
    await simulator.control.addVm({ vmid: 9000, template: true });
    const clone = () => client.call('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' });
    expect(await clone()).toMatchObject({ status: 596, reason: 'Connection timed out' });
    expect(await client.call('GET', `${VM}/config`)).toMatchObject({ status: 500 });
    expect(await clone()).toMatchObject({ status: 599 });
    // The reply was lost; the work was done.
    expect(await clone()).toMatchObject({
      status: 500,
      reason: 'unable to create VM 101: config file already exists',
    });
  });

  it('can be cut off', async () => {
    const { simulator, client } = await start();
    const stop = simulator.control.faults.add({ on: 'request', path: '/version', cut: true });
    await expect(client.call('GET', '/version')).rejects.toThrow();
    stop();
    expect((await client.call('GET', '/version')).status).toBe(200);
  });

  it('go wrong by chance, and the same way again with the same seed', async () => {
    const outcomes = async (): Promise<number[]> => {
      const { client } = await start({
        faults: parseFaultScript({
          rules: [{ on: 'request', probability: 0.5, answer: { status: 500, reason: 'got timeout' } }],
        }),
      });
      const statuses: number[] = [];
      for (let count = 0; count < 20; count++) statuses.push((await client.call('GET', '/version')).status);
      return statuses;
    };
    const first = await outcomes();
    expect(new Set(first)).toEqual(new Set([200, 500]));
    expect(await outcomes()).toEqual(first);
  });
});

describe('tasks', () => {
  it('end with warnings, which their log shows', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 101 });
    simulator.control.faults.add({
      on: 'task',
      type: 'qmstart',
      warnings: ['no efidisk configured', 'old machine type'],
    });
    const upid = String(await client.ok('POST', START));
    expect(await client.ended(upid)).toBe('WARNINGS: 2');
    const log = (await client.ok('GET', `/nodes/pve1/tasks/${encodeURIComponent(upid)}/log`)) as {
      t: string;
    }[];
    expect(log.map(({ t }) => t)).toEqual(
      expect.arrayContaining(['WARN: no efidisk configured', 'TASK WARNINGS: 2']),
    );
    expect(await client.ok('GET', `${VM}/status/current`)).toMatchObject({ status: 'running' });
  });

  it('say that they failed though the VM runs', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 101 });
    simulator.control.faults.add({
      on: 'task',
      type: 'qmstart',
      failAfter: 'start failed: got timeout',
      times: 1,
    });
    expect(await client.task('POST', START)).toBe('start failed: got timeout');
    expect(await client.ok('GET', `${VM}/status/current`)).toMatchObject({ status: 'running' });
  });

  it('crash and leave what they had begun, locked', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true });
    simulator.control.faults.add({ on: 'task', type: 'qmclone', crash: true });
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' })).toBe(
      'unexpected status',
    );
    expect(await client.ok('GET', `${VM}/config`)).toMatchObject({ lock: 'clone' });
    expect(await client.call('DELETE', VM)).toMatchObject({ status: 500, reason: 'VM is locked (clone)' });
    // Root itself may take the lock off; a token, root's too, may not.
    const unlock = { delete: 'lock', skiplock: '1' };
    expect(await client.call('PUT', `${VM}/config`, unlock)).toMatchObject({ status: 400 });
    const root = await logIn(simulator, client);
    const form = new URLSearchParams(unlock).toString();
    const headers = { ...root, 'content-type': 'application/x-www-form-urlencoded' };
    expect(await client.raw('PUT', `${VM}/config`, headers, form)).toMatchObject({ status: 200 });
    expect(await client.task('DELETE', VM)).toBe('OK');
  });

  it('hang until they are stopped', async () => {
    const { simulator, client } = await start();
    await simulator.control.addVm({ vmid: 101 });
    simulator.control.faults.add({ on: 'task', type: 'qmstop', hang: true });
    const upid = encodeURIComponent(String(await client.ok('POST', `${VM}/status/stop`)));
    expect(await client.ok('GET', `/nodes/pve1/tasks/${upid}/status`)).toMatchObject({ status: 'running' });
    await client.ok('DELETE', `/nodes/pve1/tasks/${upid}`);
    expect(await client.ended(decodeURIComponent(upid))).toBe('interrupted by signal');
  });

  it('are unknown for a moment after they began, where that is wanted', async () => {
    const { simulator, client } = await start({ timing: { taskUnknownMs: 150 } });
    await simulator.control.addVm({ vmid: 101 });
    const upid = encodeURIComponent(String(await client.ok('POST', START)));
    const status = () => client.call('GET', `/nodes/pve1/tasks/${upid}/status`);
    expect(await status()).toMatchObject({ status: 400, body: { errors: { upid: 'no such task' } } });
    expect(await client.until(async () => ((await status()).status === 200 ? true : undefined))).toBe(true);
  });
});

describe('a VM', () => {
  it('does not exist yet for a moment after it was made, where that is wanted', async () => {
    const { simulator, client } = await start({ timing: { vmUnknownMs: 200 } });
    await simulator.control.addVm({ vmid: 9000, template: true });
    await client.until(async () =>
      (await client.call('GET', '/nodes/pve1/qemu/9000/config')).status === 200 ? true : undefined,
    );
    const upid = String(await client.ok('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' }));
    expect(await client.call('GET', `${VM}/config`)).toMatchObject({
      status: 500,
      reason: expect.stringContaining('does not exist') as string,
    });
    expect(await client.ended(upid)).toBe('OK');
    await client.until(async () =>
      (await client.call('GET', `${VM}/config`)).status === 200 ? true : undefined,
    );
  });

  it('whose file somebody else has locked is waited for, and then given up', async () => {
    const { simulator, client } = await start({ timing: { lockTimeoutMs: 100 } });
    await simulator.control.addVm({ vmid: 101 });
    const letGo = simulator.control.holdVmLock(101);
    const timedOut = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout";
    expect(await client.call('PUT', `${VM}/config`, { cores: '2' })).toMatchObject({
      status: 500,
      reason: timedOut,
    });
    expect(await client.task('POST', START)).toBe(timedOut);
    letGo();
    expect(await client.task('POST', START)).toBe('OK');
  });
});

describe('a storage that somebody allocates on for long', () => {
  it('fails the clone that waits', async () => {
    const { simulator, client } = await start({ timing: { lockTimeoutMs: 100 } });
    await simulator.control.addVm({ vmid: 9000, template: true });
    const letGo = simulator.control.holdStorageLock('local-lvm', 'pve1');
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' })).toContain(
      'got timeout',
    );
    letGo();
    expect(await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101' })).toBe('OK');
  });
});

describe('a node that is down', () => {
  it('answers nothing, and its things are unknown while the others go on', async () => {
    const { simulator, client } = await start({ nodes: 3 });
    await simulator.control.addVm({ vmid: 101, node: 'pve2' });
    await simulator.control.addVm({ vmid: 102, node: 'pve1' });
    const back = simulator.control.takeNodeDown('pve2');
    expect(await client.call('GET', '/nodes/pve2/qemu')).toMatchObject({
      status: 595,
      reason: 'No route to host',
    });
    const resources = (await client.ok('GET', '/cluster/resources')) as { id: string; status?: string }[];
    expect(resources.find(({ id }) => id === 'qemu/101')?.status).toBe('unknown');
    expect(resources.find(({ id }) => id === 'qemu/102')?.status).toBe('stopped');
    expect(await client.task('POST', '/nodes/pve1/qemu/102/status/start')).toBe('OK');
    back();
    expect(await client.ok('GET', '/nodes/pve2/qemu')).toHaveLength(1);
  });

  it('is not the same as one that does not exist, or is named with its domain', async () => {
    const { client } = await start();
    expect(await client.call('GET', '/nodes/pve9/qemu')).toMatchObject({
      status: 500,
      reason: expect.stringContaining("hostname lookup 'pve9' failed") as string,
    });
    expect(await client.call('GET', '/nodes/pve1.example.org/qemu')).toMatchObject({
      status: 596,
      reason: expect.stringContaining('certificate verify failed') as string,
    });
  });
});

describe('a cluster without a majority', () => {
  it('refuses what changes it, and shows itself as it is', async () => {
    const { simulator, client } = await start({ nodes: 3 });
    await simulator.control.addVm({ vmid: 101 });
    await client.task('POST', START);
    simulator.control.takeNodeDown('pve2');
    expect(await client.ok('GET', '/cluster/status')).toContainEqual(
      expect.objectContaining({ type: 'cluster', quorate: 1 }),
    );
    simulator.control.takeNodeDown('pve3');
    expect(await client.ok('GET', '/cluster/status')).toContainEqual(
      expect.objectContaining({ type: 'cluster', quorate: 0 }),
    );
    const refused = { status: 500, reason: 'cluster not ready - no quorum?' };
    expect(await client.call('PUT', `${VM}/config`, { cores: '2' })).toMatchObject(refused);
    expect(await client.call('POST', START)).toMatchObject(refused);
    expect(await client.call('DELETE', VM)).toMatchObject(refused);
    expect(await client.ok('GET', `${VM}/status/current`)).toMatchObject({ status: 'running' });
    expect(await client.task('POST', `${VM}/status/stop`)).toBe('OK');
  });
});

describe('moments', () => {
  it('come: a certificate is renewed, and who pinned the old one is turned away', async () => {
    const { simulator, client } = await start({
      faults: parseFaultScript({
        rules: [{ on: 'time', atMs: 0, renewCertificate: true }],
      }),
    });
    await simulator.control.addVm({ vmid: 101 });
    await expect(client.call('GET', '/version')).rejects.toThrow(/certificate|closed|hang up|reset/i);
    expect(simulator.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  });
});

describe('moments, continued', () => {
  it('come and go: the quorum, a lock, a storage, a machine that dies', async () => {
    const { simulator, client } = await start({ nodes: 2 });
    await simulator.control.addVm({ vmid: 101 });
    await client.task('POST', START);
    const rules = parseFaultScript({
      rules: [
        { on: 'time', atMs: 0, forMs: 100, quorumLost: true },
        { on: 'time', atMs: 0, forMs: 100, lockVm: { vmid: 101, lock: 'backup' } },
        { on: 'time', atMs: 0, forMs: 100, storageDisabled: 'local' },
        { on: 'time', atMs: 0, vmOff: 101 },
      ],
    });
    const cancel = scheduleEvents(rules, simulator.control, systemClock);
    const quorum = async (wanted: boolean) =>
      client.until(async () => (simulator.control.cluster.isQuorate === wanted ? true : undefined));
    await quorum(false);
    expect(await client.ok('GET', `${VM}/status/current`)).toMatchObject({
      lock: 'backup',
      status: 'stopped',
    });
    await quorum(true);
    expect(await client.ok('GET', `${VM}/status/current`)).not.toHaveProperty('lock');
    expect(await client.ok('GET', '/nodes/pve1/storage/local/status')).toMatchObject({ enabled: 1 });
    cancel();
  });
});

describe('scripts', () => {
  it.each([
    [{}, 'a list "rules"'],
    [{ rules: [{ on: 'never' }] }, 'Rule 1: "on" must be one of request, task, boot, time.'],
    [
      {
        rules: [
          { on: 'task', crash: true },
          { on: 'task', kind: 'x' },
        ],
      },
      'Rule 2 (on task)',
    ],
    [{ rules: [{ on: 'request', answer: { status: 200, reason: 'x' } }] }, 'Rule 1 (on request)'],
    [{ rules: [], more: 1 }, 'nothing else'],
  ])('that are wrong are refused with where: %j', (json, message) => {
    expect(() => parseFaultScript(json)).toThrow(message);
  });
});
