/** What is wrong with a cluster, a token or a template, and what the operator is told. */
import { afterEach, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { needs, ProxmoxFixture, POOL, TEMPLATE, type FixtureOptions } from './testing/proxmox-fixture.ts';
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
  const driver = await fixture.open({ ready_timeout_s: 10, ...options });
  closers.push(() => driver.close());
  return driver;
}

/** What the operator reads when an order fails. */
async function toldBy(fixture: ProxmoxFixture, driver: ProxmoxProvisioner): Promise<string> {
  const failure: unknown = await driver
    .create(fixture.request(), fixture.signal)
    .catch((error: unknown) => error);
  return isAppError(failure)
    ? `${failure.code}: ${failure.message} ${failure.remedy ?? ''}`
    : String(failure);
}

describe.each(['7.4', '8.4', '9.1'])('a token that lacks one privilege on Proxmox VE %s', (version) => {
  const lacks = needs(Number.parseInt(version, 10)).flatMap(({ path, privileges }) =>
    privileges.map((privilege) => [path, privilege] as const),
  );
  // Without it storages are left out of the list, and nothing is refused: the doctor tells.
  const silent = 'Datastore.Audit';
  it.each(lacks.filter(([, privilege]) => privilege !== silent))(
    'is told: %s %s',
    async (path, privilege) => {
      const fixture = await newFixture({ version, driver: { pool: POOL } });
      await fixture.useLeastPrivileges(`${path} ${privilege}`);
      const driver = await newDriver(fixture, { ready_timeout_s: 1 });
      const told = await toldBy(fixture, driver);
      // A template that the token may not see looks like none: the remedy names the privilege.
      expect(told).toContain(privilege);
    },
  );
});

describe('a wrong', () => {
  it('token is named as such, in the fingerprint too', async () => {
    const fixture = await newFixture();
    await fixture.writeToken('root@pam!sim=00000000-0000-0000-0000-000000000000');
    const driver = await newDriver(fixture);
    expect(await toldBy(fixture, driver)).toContain('does not accept the API token');
    expect(await driver.fingerprint(fixture.signal)).toMatchObject({ healthy: false });
    expect(await driver.list(fixture.signal)).toMatchObject({ complete: false, instances: [] });
  });

  it('node name says which', async () => {
    const fixture = await newFixture();
    const driver = await newDriver(fixture, { nodes: ['pve1x'] });
    expect(await toldBy(fixture, driver)).toContain('no node pve1x');
  });

  it('template is a plain VM, or nowhere, or larger than what is ordered', async () => {
    const fixture = await newFixture({ withoutTemplate: true });
    const driver = await newDriver(fixture);
    expect(await toldBy(fixture, driver)).toContain('No node has a template debian-12');
    const { control } = fixture.simulator;
    await control.addVm({ vmid: TEMPLATE, name: 'debian-12' });
    expect(await toldBy(fixture, driver)).toContain('qm template');
    await control.addVm({ vmid: TEMPLATE + 1, name: 'large', template: true, diskBytes: 9 * 1024 ** 3 });
    const large = await newDriver(fixture, { templates: { 'debian-12': 'large' } });
    expect(await toldBy(fixture, large)).toContain('9 GB, more than the 5 GB');
  });

  it('storage or bridge is named', async () => {
    const fixture = await newFixture();
    const storage = await newDriver(fixture, { clone: 'full', storage: 'nowhere' });
    expect(await toldBy(fixture, storage)).toContain('setting storage');
    const bridge = await newDriver(fixture, { bridge: 'vmbr77' });
    expect(await toldBy(fixture, bridge)).toContain('bridge');
  });

  it('certificate stops everything before the token is sent, until it is pinned anew', async () => {
    const fixture = await newFixture();
    const driver = await newDriver(fixture);
    fixture.simulator.control.renewCertificate();
    const calls = fixture.simulator.observer.counts.size;
    expect(await toldBy(fixture, driver)).toContain('PROVISIONER_CERTIFICATE_CHANGED');
    expect(await driver.fingerprint(fixture.signal)).toMatchObject({ healthy: false });
    expect(fixture.simulator.observer.counts.size).toBe(calls);
    expect((await newDriver(fixture).then((again) => again.fingerprint(fixture.signal))).healthy).toBe(true);
  });
});

it('a VM with the name and the tag of ours, but without the seal, is left alone', async () => {
  const fixture = await newFixture();
  const driver = await newDriver(fixture);
  const { handle, seal } = await driver.create(fixture.request(), fixture.signal);
  const { config } = fixture.vm(Number(handle['vmid']))!;
  await fixture.simulator.control.addVm({
    vmid: 500,
    name: config.get('name')!,
    config: { tags: config.get('tags')! },
  });
  const twin = { ...handle, vmid: 500 };
  const before = JSON.stringify([...fixture.vm(500)!.config]);
  for (const method of ['start', 'stop', 'destroy'] as const) {
    const failure: unknown = await driver[method](twin, seal!, fixture.signal).catch(
      (error: unknown) => error,
    );
    expect(isAppError(failure, 'PROVISIONER_FOREIGN')).toBe(true);
  }
  expect(JSON.stringify([...fixture.vm(500)!.config])).toBe(before);
  const { instances } = await driver.list(fixture.signal);
  expect(instances.find((each) => each.handle['vmid'] === 500)).toMatchObject({ seal: null });
});
