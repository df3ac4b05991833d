/** What a missing privilege does to each call: 403, or a list that silently lacks things. */
import { describe, expect, it } from 'vitest';
import { simFixtures, type SimFixture } from '../testing/sim-fixture.ts';

const start = simFixtures();

/** What an agent needs on 8.4 to rent out clones of template 9000 in the pool `dc`. */
const NEEDED: readonly (readonly [string, readonly string[]])[] = [
  ['/vms/9000', ['VM.Audit', 'VM.Clone']],
  [
    '/pool/dc',
    [
      ...[
        'VM.Allocate',
        'VM.Audit',
        'VM.Config.CPU',
        'VM.Config.Memory',
        'VM.Config.Disk',
        'VM.Config.Network',
      ],
      ...['VM.Config.Options', 'VM.Config.Cloudinit', 'VM.PowerMgmt', 'VM.Monitor'],
    ],
  ],
  ['/storage/local-lvm', ['Datastore.AllocateSpace']],
  ['/sdn/zones/localnetwork/vmbr0', ['SDN.Use']],
];

async function fixtureWithout(missing: string): Promise<SimFixture & { token: string }> {
  const fixture = await start();
  const { control } = fixture.simulator;
  await control.addVm({ vmid: 9000, name: 'debian-12', template: true });
  control.cluster.pools.set('dc', { comment: '', storages: new Set() });
  const token = control.addToken('dc@pve', 'agent');
  for (const [path, privileges] of NEEDED) {
    const given = privileges.filter((privilege) => privilege !== missing);
    control.allow('dc@pve', path, privileges);
    control.allow('dc@pve!agent', path, given);
  }
  return { ...fixture, token };
}

/** The first call of a rental that is refused, and in which words; `none` when the rental works. */
async function firstRefusal({ as, token }: SimFixture & { token: string }): Promise<string> {
  const client = as(token);
  const calls: (readonly [string, string, Record<string, string>?])[] = [
    ['POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', pool: 'dc', name: 'x' }],
    ['PUT', '/nodes/pve1/qemu/101/config', { description: 'sealed' }],
    ['PUT', '/nodes/pve1/qemu/101/config', { cores: '2' }],
    ['PUT', '/nodes/pve1/qemu/101/config', { memory: '2048' }],
    ['PUT', '/nodes/pve1/qemu/101/config', { net0: 'virtio,bridge=vmbr0' }],
    ['PUT', '/nodes/pve1/qemu/101/config', { ciuser: 'renter' }],
    ['PUT', '/nodes/pve1/qemu/101/resize', { disk: 'scsi0', size: '4G' }],
    ['GET', '/nodes/pve1/qemu/101/config'],
    ['POST', '/nodes/pve1/qemu/101/status/start'],
    ['POST', '/nodes/pve1/qemu/101/agent/ping'],
    ['POST', '/nodes/pve1/qemu/101/status/stop'],
    ['DELETE', '/nodes/pve1/qemu/101'],
  ];
  for (const [method, path, params] of calls) {
    const answer = await client.call(method, path, params ?? {});
    if (answer.status === 403) return `${method} ${path.split('/').at(-1) ?? ''}: ${answer.reason}`;
    if (answer.status !== 200 && !path.endsWith('/ping')) return `${answer.status} ${answer.reason}`;
    if (String(answer.data).startsWith('UPID')) expect(await client.ended(String(answer.data))).toBe('OK');
  }
  return 'none';
}

describe('a rental with a token of its own', () => {
  it('works with exactly the privileges that it needs', async () => {
    expect(await firstRefusal(await fixtureWithout(''))).toBe('none');
  });

  it.each([
    ['VM.Clone', 'POST clone: Permission check failed (/vms/9000, VM.Clone)'],
    ['VM.Allocate', 'POST clone: Permission check failed (/vms/101, VM.Allocate)'],
    [
      'Datastore.AllocateSpace',
      'POST clone: Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)',
    ],
    ['SDN.Use', 'POST clone: Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)'],
    ['VM.Config.Options', 'PUT config: Permission check failed (/vms/101, VM.Config.Options)'],
    ['VM.Config.CPU', 'PUT config: Permission check failed (/vms/101, VM.Config.CPU)'],
    ['VM.Config.Memory', 'PUT config: Permission check failed (/vms/101, VM.Config.Memory)'],
    ['VM.Config.Network', 'PUT config: Permission check failed (/vms/101, VM.Config.Network)'],
    ['VM.Config.Disk', 'PUT resize: Permission check failed (/vms/101, VM.Config.Disk)'],
    ['VM.Audit', 'GET config: Permission check failed (/vms/101, VM.Audit)'],
    ['VM.PowerMgmt', 'POST start: Permission check failed (/vms/101, VM.PowerMgmt)'],
    ['VM.Monitor', 'POST ping: Permission check failed (/vms/101, VM.Monitor)'],
  ])('is refused without %s', async (missing, refusal) => {
    expect(await firstRefusal(await fixtureWithout(missing))).toBe(refusal);
  });
});

describe('a clone that is being made', () => {
  it('is in its pool only when it is done: until then, who has the pool alone does not see it', async () => {
    const fixture = await fixtureWithout('');
    const client = fixture.as(fixture.token);
    const seen = async () => (await client.ok('GET', '/nodes/pve1/qemu')) as { vmid: number }[];
    fixture.simulator.control.faults.add({ on: 'task', type: 'qmclone', delayMs: 200, times: 1 });
    const upid = String(await client.ok('POST', '/nodes/pve1/qemu/9000/clone', { newid: '101', pool: 'dc' }));
    const denied = { status: 403, reason: 'Permission check failed (/vms/101, VM.Audit)' };
    expect(await client.call('GET', '/nodes/pve1/qemu/101/config')).toMatchObject(denied);
    expect((await seen()).map(({ vmid }) => vmid)).toEqual([9000]);
    expect(await client.ended(upid)).toBe('OK');
    expect((await seen()).map(({ vmid }) => vmid)).toEqual([9000, 101]);
    // What a crash leaves is in no pool, and so not theirs to see or remove.
    fixture.simulator.control.faults.add({ on: 'task', type: 'qmclone', crash: true });
    await client.task('POST', '/nodes/pve1/qemu/9000/clone', { newid: '102', pool: 'dc' });
    expect((await client.call('GET', '/nodes/pve1/qemu/102/config')).status).toBe(403);
  });
});

describe('lists', () => {
  it('are silently empty for a token that may see nothing', async () => {
    const { simulator, as } = await start();
    await simulator.control.addVm({ vmid: 9000, template: true });
    simulator.control.cluster.pools.set('dc', { comment: '', storages: new Set() });
    const client = as(simulator.control.addToken('nobody@pve', 't'));
    for (const path of [
      '/nodes/pve1/qemu',
      '/nodes/pve1/storage',
      '/pools',
      '/storage',
      '/access/acl',
      '/cluster/resources?type=vm',
    ]) {
      expect(await client.ok('GET', path)).toEqual([]);
    }
    expect(await client.ok('GET', '/nodes')).toEqual([
      expect.not.objectContaining({ maxmem: expect.anything() as unknown }),
    ]);
    expect(await client.ok('GET', '/access/permissions')).toEqual({});
    expect(await client.call('GET', '/cluster/status')).toMatchObject({
      status: 403,
      reason: 'Permission check failed (/, Sys.Audit)',
    });
  });

  it('have bridges only for those who may use them, from version 8 on', async () => {
    for (const [version, seen] of [
      ['7.4', ['eno1', 'vmbr0']],
      ['8.4', []],
    ] as const) {
      const { simulator, as } = await start({ version });
      const client = as(simulator.control.addToken('nobody@pve', 't'));
      const networks = (await client.ok('GET', '/nodes/pve1/network')) as { iface: string }[];
      expect(networks.map(({ iface }) => iface)).toEqual(seen);
    }
  });

  it('of tasks have only own ones, and those of others are 403', async () => {
    const { simulator, client, as } = await start();
    await simulator.control.addVm({ vmid: 100 });
    const upid = String(await client.ok('POST', '/nodes/pve1/qemu/100/status/start'));
    await client.ended(upid);
    const other = as(simulator.control.addToken('nobody@pve', 't'));
    expect(await other.ok('GET', '/nodes/pve1/tasks')).toEqual([]);
    expect(await other.call('GET', `/nodes/pve1/tasks/${encodeURIComponent(upid)}/status`)).toMatchObject({
      status: 403,
      reason: 'Permission check failed (/nodes/pve1, Sys.Audit)',
    });
  });
});

describe('who asks', () => {
  it('is refused with the words that name what is wrong', async () => {
    const { simulator, as } = await start();
    const [id = '', secret = ''] = simulator.rootToken.split('=');
    const reasonOf = async (token: string): Promise<string> => {
      const { status, reason } = await as(token).call('GET', '/version');
      return `${status} ${reason}`;
    };
    expect(await reasonOf(`${id}=${secret.replace(/.$/, 'x')}`)).toBe('401 invalid token value!');
    expect(await reasonOf(`root@pam!other=${secret}`)).toBe(`401 no such token 'other' for user 'root@pam'`);
    expect(await reasonOf(`ghost@pve!t=${secret}`)).toBe(`401 no such user ('ghost@pve')`);
  });

  it('may log in with a password, and then needs the token against forged requests', async () => {
    const { simulator, client } = await start();
    simulator.control.cluster.access.users.get('root@pam')!.password = 'secret';
    await simulator.control.addVm({ vmid: 100 });
    expect(
      await client.call('POST', '/access/ticket', { username: 'root@pam', password: 'wrong' }),
    ).toMatchObject({ status: 401, reason: 'authentication failure' });
    const { ticket, CSRFPreventionToken } = (await client.ok('POST', '/access/ticket', {
      username: 'root@pam',
      password: 'secret',
    })) as Record<string, string>;
    const cookie = `PVEAuthCookie=${encodeURIComponent(ticket!)}`;
    expect((await client.raw('GET', '/version', { cookie })).status).toBe(200);
    expect(await client.raw('POST', '/nodes/pve1/qemu/100/status/stop', { cookie })).toMatchObject({
      status: 401,
      reason: expect.stringContaining('csrf') as string,
    });
    expect(
      (
        await client.raw('POST', '/nodes/pve1/qemu/100/status/stop', {
          cookie,
          csrfpreventiontoken: CSRFPreventionToken!,
        })
      ).status,
    ).toBe(200);
    expect((await client.raw('GET', '/version', {})).reason).toBe('No ticket');
  });
});
