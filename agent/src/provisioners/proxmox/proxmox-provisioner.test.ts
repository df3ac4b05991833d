/** Whole lives with a token that may do no more than it must, on each version; and what each lack comes to. */
import { afterEach, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { POOL, ProxmoxFixture, VMID_FIRST, type FixtureOptions } from './testing/proxmox-fixture.ts';
import type { ProxmoxProvisioner } from './proxmox-provisioner.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function newFixture(options: FixtureOptions = {}): Promise<ProxmoxFixture> {
  const fixture = await ProxmoxFixture.make(options);
  closers.push(() => fixture.dispose());
  return fixture;
}

async function newDriver(
  fixture: ProxmoxFixture,
  options: Parameters<ProxmoxFixture['open']>[0] = {},
): Promise<ProxmoxProvisioner> {
  const driver = await fixture.open(options);
  closers.push(() => driver.close());
  return driver;
}

async function withToken(version: string): Promise<{ fixture: ProxmoxFixture; driver: ProxmoxProvisioner }> {
  const fixture = await newFixture({ version, driver: { pool: POOL } });
  await fixture.useLeastPrivileges();
  return { fixture, driver: await newDriver(fixture) };
}

describe.each(['7.4', '8.4', '9.1'])('the driver on Proxmox VE %s', (version) => {
  it('needs no more than its privileges for a whole life', async () => {
    const { fixture, driver } = await withToken(version);
    const { signal } = fixture;
    expect(await driver.fingerprint(signal)).toMatchObject({ healthy: true });
    const request = fixture.request();
    const { seal } = request;
    const { handle, ssh } = await driver.create(request, signal);
    const user = ssh!.user;
    await driver.setPassword(handle, seal, { user, password: 'a-new-password' }, signal);
    const change = {
      user,
      sshPublicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q',
      replaces: request.spec.sshPublicKey,
    };
    await driver.rotateSshKey(handle, seal, change, signal);
    await driver.stop(handle, seal, signal);
    await driver.start(handle, seal, signal);
    expect(await driver.list(signal)).toMatchObject({ complete: true, instances: [{ seal }] });
    expect(await driver.destroy(handle, seal, signal)).toEqual({ destroyed: true });
    expect(await driver.inspect(handle, signal)).toMatchObject({ existence: 'absent' });
    expect(fixture.vmids()).toEqual([]);
  });
});

describe('a configuration', () => {
  it('builds what was ordered: cores, memory, disk, user, key, name, seal in description and tag', async () => {
    const fixture = await newFixture();
    const driver = await newDriver(fixture);
    const request = fixture.request({ cpu: 3, memoryMb: 1_024, diskGb: 7, hostname: 'box-7' });
    await driver.create(request, fixture.signal);
    const config = Object.fromEntries(fixture.vm(VMID_FIRST)!.config);
    expect(config).toMatchObject({
      cores: '3',
      memory: '1024',
      name: 'box-7',
      ciuser: 'renter',
      ipconfig0: 'ip=dhcp',
      scsi0: expect.stringContaining('size=7G') as string,
      description: expect.stringContaining(`dc-seal: ${request.seal}`) as string,
      tags: expect.stringMatching(
        /^dc1\.01930000-0000-7000-8000-000000000001\.test\.[0-9a-f]{64}$/,
      ) as string,
    });
    const keys = decodeURIComponent(config['sshkeys']!).trim().split('\n');
    expect(keys).toEqual([request.spec.sshPublicKey, expect.stringMatching(/^ssh-ed25519 \S+ dc-agent$/)]);
  });

  it('does not open with a token file that others may read', async () => {
    const fixture = await newFixture();
    await fixture.writeToken(fixture.simulator.rootToken, 0o644);
    const failure: unknown = await fixture.open().catch((error: unknown) => error);
    expect(isAppError(failure, 'KEY_FILE_UNSAFE') && failure.remedy).toContain('chmod 600');
  });
});

describe('an idle agent', () => {
  it('asks for one list and for no configuration, however many VMs there are, and after a restart too', async () => {
    const fixture = await newFixture();
    let driver = await newDriver(fixture);
    for (let number = 0; number < 3; number++) await driver.create(fixture.request(), fixture.signal);
    await driver.close();
    driver = await newDriver(fixture);
    const { counts } = fixture.simulator.observer;
    const count = (call: string): number => counts.get(call) ?? 0;
    const before = ['GET /cluster/resources', 'GET /nodes/{node}/qemu/{vmid}/config'].map(count);
    expect((await driver.list(fixture.signal)).instances).toHaveLength(3);
    const after = ['GET /cluster/resources', 'GET /nodes/{node}/qemu/{vmid}/config'].map(count);
    expect(after.map((each, index) => each - before[index]!)).toEqual([1, 0]);
  });

  it('makes the same few calls for a look, of which it has one a minute, with 3 VMs and with 300', async () => {
    const fixture = await newFixture();
    const driver = await newDriver(fixture);
    const callsOfLook = async (): Promise<Record<string, number>> => {
      const { counts } = fixture.simulator.observer;
      const before = new Map(counts);
      await driver.list(fixture.signal);
      await driver.fingerprint(fixture.signal);
      const made = [...counts].map(([call, count]) => [call, count - (before.get(call) ?? 0)] as const);
      return Object.fromEntries(made.filter(([, count]) => count > 0));
    };
    for (let number = 0; number < 3; number++) await driver.create(fixture.request(), fixture.signal);
    await callsOfLook(); // What does not change is learned once.
    const few = await callsOfLook();
    for (let vmid = 300; vmid < 600; vmid++)
      await fixture.simulator.control.addVm({ vmid, diskBytes: 1024 ** 2 });
    expect(await callsOfLook()).toEqual(few);
    expect(few['GET /cluster/resources']).toBeLessThanOrEqual(6);
    expect(Object.keys(few).filter((call) => call.includes('{vmid}'))).toEqual([]);
  });
});
