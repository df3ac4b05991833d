/** Addresses from a range of the agent's own: given once, kept over crashes, given back when nothing is left. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, it } from 'vitest';
import { isAppError } from '@dc/shared/errors';
import { systemClock } from '../../lib/system-clock.ts';
import type { Handle } from '../provisioner.ts';
import { ClaimStore } from './claim-store.ts';
import { problemsOfProxmoxOptions, type ProxmoxOptions } from './proxmox-options.ts';
import type { ProxmoxProvisioner } from './proxmox-provisioner.ts';
import { ProxmoxFixture, VMID_FIRST } from './testing/proxmox-fixture.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Each run of the tests has a block of its own: guests of two runs would meet on one address. */
const BLOCK = `127.${96 + (process.pid % 16)}.${(process.pid >> 4) % 256}`;
const ADDRESSES = { first: `${BLOCK}.10`, last: `${BLOCK}.12`, prefix: 24, gateway: `${BLOCK}.1` };

async function newFixture(): Promise<ProxmoxFixture> {
  const fixture = await ProxmoxFixture.make({ driver: { addresses: ADDRESSES } });
  closers.push(() => fixture.dispose());
  return fixture;
}

async function newDriver(fixture: ProxmoxFixture): Promise<ProxmoxProvisioner> {
  const driver = await fixture.open();
  closers.push(() => driver.close());
  return driver;
}

const told = (fixture: ProxmoxFixture, handle: Handle): string | undefined =>
  fixture.vm(Number(handle['vmid']))?.config.get('ipconfig0');

async function failureOf(work: Promise<unknown>): Promise<string> {
  const failure: unknown = await work.catch((error: unknown) => error);
  return isAppError(failure) ? `${failure.code}: ${failure.message}` : String(failure);
}

describe('static addresses', () => {
  it('are given one after another, told to the guest, and stated as room', async () => {
    const fixture = await newFixture();
    const driver = await newDriver(fixture);
    const { signal } = fixture;
    const [one, two] = [fixture.request(), fixture.request()];
    const made = [await driver.create(one, signal), await driver.create(two, signal)];
    expect(made.map(({ ssh }) => ssh?.host)).toEqual([`${BLOCK}.10`, `${BLOCK}.11`]);
    expect(told(fixture, made[0]!.handle)).toBe(`ip=${BLOCK}.10/24,gw=${BLOCK}.1`);
    const { freeCapacity } = await driver.fingerprint(signal);
    expect(freeCapacity?.addresses).toBe(1);

    // Given back when it is proved that nothing is left, and not the first to be given again.
    await driver.destroy(made[0]!.handle, one.seal, signal);
    const third = await driver.create(fixture.request(), signal);
    expect(third.ssh?.host).toBe(`${BLOCK}.12`);
    expect((await driver.create(fixture.request(), signal)).ssh?.host).toBe(`${BLOCK}.10`);
    expect(await failureOf(driver.create(fixture.request(), signal))).toContain(
      `PROVISIONER_EXHAUSTED: No address from ${BLOCK}.10 to ${BLOCK}.12 is free.`,
    );
  });

  it('stay with a contract over a crash, a lost answer, and a removal that did not work', async () => {
    const fixture = await newFixture();
    const { signal, simulator } = fixture;
    const request = fixture.request();
    const crashed = await fixture.open();
    simulator.control.faults.add({
      on: 'request',
      method: 'POST',
      path: '/nodes/*/qemu/*/clone',
      when: 'after',
      cut: true,
      times: 1,
    });
    expect(await failureOf(crashed.create(request, signal))).toContain('PROVISIONER_UNAVAILABLE');
    await crashed.close();
    const driver = await newDriver(fixture);
    const { handle, ssh } = await driver.create(request, signal);
    expect(ssh?.host).toBe(`${BLOCK}.10`);

    simulator.control.faults.add({ on: 'task', type: 'qmdestroy', fail: 'storage is busy', times: 1 });
    await failureOf(driver.destroy(handle, request.seal, signal));
    expect((await driver.create(fixture.request(), signal)).ssh?.host).toBe(`${BLOCK}.11`);
  });

  it('are not given twice after the store was lost: what VMs of ours have is read from them', async () => {
    const fixture = await newFixture();
    const { signal } = fixture;
    const request = fixture.request();
    const first = await fixture.open();
    await first.create(request, signal);
    await first.close();
    await rm(join(fixture.folder, 'state'), { recursive: true });
    const driver = await newDriver(fixture);
    expect((await driver.create(fixture.request(), signal)).ssh?.host).toBe(`${BLOCK}.11`);
    expect((await driver.create(request, signal)).ssh?.host).toBe(`${BLOCK}.10`);
    expect((await driver.create(fixture.request(), signal)).ssh?.host).toBe(`${BLOCK}.12`);
  });

  it('come to a store that was made before there were any', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dc-claims-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    await mkdir(folder, { recursive: true });
    const old = new Database(join(folder, 'claims.sqlite'));
    old.exec(`CREATE TABLE claims (vmid INTEGER NOT NULL, contract_id TEXT NOT NULL, token TEXT NOT NULL,
      node TEXT NOT NULL, upid TEXT, phase TEXT NOT NULL, access TEXT, claimed_at INTEGER NOT NULL,
      freed_at INTEGER) STRICT; INSERT INTO claims VALUES (${VMID_FIRST}, 'c', 't', 'pve1', NULL, 'cloning', NULL, 1, NULL)`);
    old.close();
    for (let times = 0; times < 2; times++) {
      const store = ClaimStore.open(folder, systemClock);
      expect(store.all()).toMatchObject([{ vmid: VMID_FIRST, address: null }]);
      store.close();
    }
  });

  it.each<[string, Partial<typeof ADDRESSES>, string]>([
    ['no address', { first: '127.300.1.1' }, 'this is no IPv4 address'],
    ['turned around', { last: `${BLOCK}.9` }, 'last is below first'],
    ['larger than their network', { prefix: 29 }, 'it is not in the network of first (/29)'],
    ['with the gateway among them', { gateway: `${BLOCK}.11` }, 'a guest would get it'],
    ['with a gateway elsewhere', { gateway: '127.64.0.1' }, 'it is not in the network of first (/24)'],
  ])('are refused where they are %s', (_, change, expected) => {
    const options = { url: 'https://127.0.0.1', vmid_first: 100, vmid_last: 200, fingerprint: 'x' };
    const addresses = { ...ADDRESSES, ...change };
    const problems = problemsOfProxmoxOptions({ ...options, addresses } as ProxmoxOptions);
    expect(problems.map(({ detail }) => detail).join()).toContain(expected);
  });

  it('have to lie where guests may be', () => {
    const options = { url: 'https://127.0.0.1', vmid_first: 100, vmid_last: 200, fingerprint: 'x' };
    const problems = problemsOfProxmoxOptions({
      ...options,
      addresses: ADDRESSES,
      guest_networks: ['192.0.2.0/24'],
    } as ProxmoxOptions);
    expect(problems).toEqual([{ pointer: '/addresses/first', detail: 'the range is not in guest_networks' }]);
  });
});
