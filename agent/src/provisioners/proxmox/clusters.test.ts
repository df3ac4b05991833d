/** Several nodes, several agents, and certificates that are renewed. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import type { ProxmoxProvisioner } from './proxmox-provisioner.ts';
import type { ProxmoxOptions } from './proxmox-options.ts';
import { POOL, ProxmoxFixture, TEMPLATE, type FixtureOptions } from './testing/proxmox-fixture.ts';

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
  options: Partial<ProxmoxOptions> = {},
): Promise<ProxmoxProvisioner> {
  const driver = await fixture.open(options);
  closers.push(() => driver.close());
  return driver;
}

describe('the nodes of a cluster', () => {
  const MIB = 1024 ** 2;
  const storages = [
    { storage: 'local', type: 'dir' },
    { storage: 'local-lvm', type: 'lvmthin' },
    { storage: 'shared', type: 'nfs' },
  ] as const;
  const node = (name: string, memoryBytes: number) => ({ name, memoryBytes });
  const onShared = (shared: string) => ({
    vmid: TEMPLATE,
    name: 'debian-12',
    template: true,
    storage: shared,
  });

  it('without a template of their own build from one on a shared storage, when its node is full', async () => {
    const fixture = await newFixture({
      nodes: [node('pve1', 3_600 * MIB), node('pve2', 16_000 * MIB), node('pve3', 8_000 * MIB)],
      storages,
      withoutTemplate: true,
    });
    await fixture.simulator.control.addVm(onShared('shared'));
    const driver = await newDriver(fixture, { capacity: { memory_reserve_mb: 2_048 } });
    const made: string[] = [];
    for (let count = 0; count < 3; count++) {
      const { handle } = await driver.create(fixture.request({ memoryMb: 1_024 }), fixture.signal);
      made.push(fixture.vm(Number(handle['vmid']))!.node);
    }
    // The same node first; then where there is most memory.
    expect(made).toEqual(['pve1', 'pve2', 'pve2']);
    const only = await newDriver(fixture, { nodes: ['pve1'] });
    const failure: unknown = await only
      .create(fixture.request({ memoryMb: 1_024 }), fixture.signal)
      .catch((error: unknown) => error);
    expect(isAppError(failure, 'PROVISIONER_EXHAUSTED')).toBe(true);
  });

  it('do not build from a template whose disk only its own node has', async () => {
    const fixture = await newFixture({
      nodes: [node('pve1', 3_000 * MIB), node('pve2', 16_000 * MIB)],
      storages,
      withoutTemplate: true,
    });
    await fixture.simulator.control.addVm(onShared('local-lvm'));
    const driver = await newDriver(fixture);
    const order = fixture.request({ memoryMb: 2_048 });
    const failure: unknown = await driver.create(order, fixture.signal).catch((error: unknown) => error);
    expect(isAppError(failure, 'PROVISIONER_EXHAUSTED')).toBe(true);
    expect(fixture.vmids()).toEqual([]);
  });
});

describe('the name of a backend', () => {
  it('is the same for two agents on one cluster and pool, after a renewal and a restart too, and for nobody else', async () => {
    const fixture = await newFixture({ driver: { pool: POOL } });
    await fixture.useLeastPrivileges();
    const first = await newDriver(fixture);
    expect(first.backendId).toBeUndefined();
    const { backendId } = await first.fingerprint(fixture.signal);
    expect(backendId).toMatch(/^pve\.[0-9a-f]{64}\.dc$/);
    expect(first.backendId).toBe(backendId);
    await first.close();
    fixture.simulator.control.renewCertificate();
    const again = await newDriver(fixture);
    expect(again.backendId).toBe(backendId);
    expect((await again.fingerprint(fixture.signal)).backendId).toBe(backendId);
    const other = await newFixture({ driver: { pool: POOL } });
    await other.useLeastPrivileges();
    const elsewhere = await (await newDriver(other)).fingerprint(other.signal);
    expect(elsewhere.backendId).not.toBe(backendId);
  });
});

describe('a certificate that the host renews', () => {
  it('is followed where the agent reads it on the host, and by nobody who has pinned the old one', async () => {
    const fixture = await newFixture();
    const { simulator, signal } = fixture;
    const file = join(fixture.folder, 'pve-ssl.pem');
    await writeFile(file, simulator.certPem);
    const { fingerprint: pinned, ...options } = fixture.options({ certificate_file: file });
    const onHost = await fixture.openWith(options);
    closers.push(() => onHost.close());
    const elsewhere = await newDriver(fixture, { fingerprint: pinned! });
    expect((await onHost.fingerprint(signal)).healthy).toBe(true);

    simulator.control.renewCertificate();
    // The connection that was open is cut; a new one sees the new certificate.
    const why = async (): Promise<string> => (await onHost.fingerprint(signal)).why;
    await expect.poll(why).toContain('another certificate');
    await writeFile(file, simulator.certPem);
    expect(await onHost.fingerprint(signal)).toMatchObject({ healthy: true });
    expect((await onHost.create(fixture.request(), signal)).power).toBe('running');
    expect((await elsewhere.fingerprint(signal)).why).toContain('another certificate');

    await writeFile(file, 'half a certif');
    simulator.control.renewCertificate();
    await expect.poll(why).toContain(`The certificate ${file} cannot be read`);
  });
});
