/** What the doctor finds on a cluster: each missing privilege with the command that gives it, and each thing that is off. */
import { afterEach, describe, expect, it } from 'vitest';
import { makeSeal } from '@dc/shared/seal';
import { newUuid } from '@dc/shared/ids';
import { runChecks, type CheckResult } from '../../doctor/check.ts';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import type { DiagnosisContext, Offer } from '../registry.ts';
import { diagnoseProxmox } from './diagnose.ts';
import { PROBE_ENVIRONMENT } from './probe-vm.ts';
import type { ProxmoxOptions } from './proxmox-options.ts';
import {
  needs,
  POOL,
  ProxmoxFixture,
  TEMPLATE,
  VMID_FIRST,
  type FixtureOptions,
} from './testing/proxmox-fixture.ts';
import { writeNotes } from './vm-notes.ts';

const OFFER: Offer = { title: 'Small', operatingSystems: ['debian-12'], cpu: 1, memoryMb: 512, diskGb: 5 };
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function newFixture(
  options: FixtureOptions = {},
  atEnd: (close: () => Promise<unknown>) => unknown = (close) => closers.push(close),
): Promise<ProxmoxFixture> {
  const fixture = await ProxmoxFixture.make(options);
  atEnd(() => fixture.dispose());
  return fixture;
}

interface Seen {
  readonly results: readonly CheckResult[];
  /** `name severity` of everything that is not well. */
  readonly off: readonly string[];
  of(name: string): CheckResult;
}

async function diagnose(
  fixture: ProxmoxFixture,
  options: Partial<ProxmoxOptions> = {},
  over: Partial<DiagnosisContext> = {},
): Promise<Seen> {
  const signal = over.signal ?? new AbortController().signal;
  const context = { ...fixture.context('doctor'), offers: [OFFER], mayProbe: true, signal, ...over };
  const open = () => Promise.resolve(diagnoseProxmox(fixture.options(options), context));
  const results = await runChecks([{ name: 'opening', open }], signal);
  return {
    results,
    off: results.flatMap(({ name, severity }) => (severity === 'ok' ? [] : [`${name} ${severity}`])),
    of: (name) => results.find((each) => each.name === `proxmox${name === '' ? '' : ` ${name}`}`)!,
  };
}

/** Does what a line says, as root, by the calls that pveum makes. */
async function carryOut(fixture: ProxmoxFixture, line: string): Promise<void> {
  const { access } = fixture.simulator.control.cluster;
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  const option = (name: string): string => words[words.indexOf(`--${name}`) + 1] ?? '';
  const [program, group, verb, subject = ''] = words;
  expect(program).toBe('pveum');
  if (group === 'role') {
    const before = verb === 'add' ? [] : [...(access.roles.get(subject) ?? [])];
    expect(access.roles.has(subject)).toBe(verb === 'modify');
    access.roles.set(subject, new Set([...before, ...option('privs').split(' ')]));
    return;
  }
  expect([group, verb]).toEqual(['acl', 'modify']);
  for (const [type, ugid] of [
    ['user', option('users')],
    ['token', option('tokens')],
  ] as const)
    access.grant([{ path: subject, type, ugid, roleid: option('roles'), propagate: true }]);
}

describe.each(['7.4', '8.4', '9.1'])('the privilege matrix on Proxmox VE %s', (version) => {
  it('finds nothing wrong with exactly the privileges that are needed, and leaves nothing behind', async () => {
    const fixture = await newFixture({ version, driver: { pool: POOL } });
    await fixture.useLeastPrivileges();
    const { results, off, of } = await diagnose(fixture);
    expect(off, JSON.stringify(results, null, 1)).toEqual([]);
    expect(of('probe').detail).toContain('cloned, configured, started and destroyed');
    expect(fixture.vmids()).toEqual([]);
  });

  const all = needs(Number.parseInt(version, 10)).flatMap(({ path, privileges }) =>
    privileges.map((privilege) => [privilege, path] as const),
  );
  // Side by side: each is a cluster of its own, and most of its time is waiting.
  const title = 'without %s on %s: says so, and the lines it gives mend it';
  it.concurrent.for(all)(title, async ([privilege, path], { onTestFinished }) => {
    const atEnd = (close: () => Promise<unknown>): void =>
      onTestFinished(async () => {
        await close();
      });
    const fixture = await newFixture({ version, driver: { pool: POOL } }, atEnd);
    await fixture.useLeastPrivileges(`${path} ${privilege}`);
    const { of } = await diagnose(fixture);
    const { severity, detail, remedy } = of('privileges');
    expect(severity).toBe('failure');
    expect(detail).toBe(`The API token lacks ${privilege} on ${path}.`);
    expect(fixture.vmids()).toEqual([]);
    for (const line of remedy?.split('\n') ?? []) await carryOut(fixture, line);
    expect((await diagnose(fixture, {}, { mayProbe: false })).off).toEqual([]);
  });
});

describe('the probe VM', () => {
  it('is not made where the operator wants only reading, and then what is lacking is told all the same', async () => {
    const fixture = await newFixture({ driver: { pool: POOL } });
    await fixture.useLeastPrivileges('/pool/dc VM.PowerMgmt');
    const { of, results } = await diagnose(fixture, {}, { mayProbe: false });
    expect(results.map(({ name }) => name)).not.toContain('proxmox probe');
    expect(of('privileges').detail).toContain('VM.PowerMgmt');
    expect(fixture.simulator.observer.counts.get('POST /nodes/{node}/qemu/{vmid}/clone')).toBe(undefined);
  });

  it('finds by use what the list of permissions does not say', async () => {
    const fixture = await newFixture();
    const answer = {
      status: 403,
      reason: `Permission check failed (/vms/${VMID_FIRST + 99}, VM.Config.CPU)`,
    };
    fixture.simulator.control.faults.add({
      on: 'request',
      method: 'PUT',
      path: '/nodes/*/qemu/*/config',
      nth: [1],
      answer,
    });
    const { of } = await diagnose(fixture);
    expect(of('privileges').detail).toContain('lacks VM.Config.CPU on /vms');
    expect(fixture.vmids()).toEqual([]);
  });

  it.each(['/nodes/*/qemu/*/clone', '/nodes/*/qemu/*/config', '/nodes/*/qemu/*/status/start'])(
    'goes when the doctor is interrupted at %s',
    async (path) => {
      const fixture = await newFixture();
      const stop = new AbortController();
      fixture.simulator.control.faults.add({ on: 'request', path, delayMs: 300, nth: [1] });
      const asked = (): boolean =>
        [...fixture.simulator.observer.counts.keys()].some((call) => call.includes('clone'));
      const running = diagnose(fixture, {}, { signal: stop.signal });
      await expect.poll(asked, { timeout: 10_000, interval: 5 }).toBe(true);
      stop.abort();
      expect((await running).of('probe').severity).toBe('skipped');
      expect(fixture.vmids()).toEqual([]);
    },
  );

  it('of a doctor that was killed is removed by the next one, and nobody else’s is', async () => {
    const fixture = await newFixture();
    const { control } = fixture.simulator;
    const seal = (environment: string, ageMs: number): string => {
      const clock = { ...systemClock, now: () => systemClock.now() - ageMs };
      const contractId = newUuid(clock, systemRandom);
      const text = makeSeal(fixture.sealSecret, { contractId, environment });
      return writeNotes({ seal: text, contractId, token: 't' });
    };
    const old = 3_600_000;
    await control.addVm({
      vmid: VMID_FIRST,
      name: 'dc-probe',
      config: { description: seal(PROBE_ENVIRONMENT, old) },
    });
    await control.addVm({
      vmid: VMID_FIRST + 1,
      name: 'dc-probe',
      config: { description: seal(PROBE_ENVIRONMENT, 0) },
    });
    await control.addVm({
      vmid: VMID_FIRST + 2,
      name: 'dc-probe',
      config: { description: seal('test', old) },
    });
    await control.addVm({ vmid: VMID_FIRST + 3, name: 'dc-probe' });
    const { of } = await diagnose(fixture);
    expect(of('probe').detail).toContain('1 of an earlier doctor');
    expect(fixture.vmids()).toEqual([VMID_FIRST + 1, VMID_FIRST + 2, VMID_FIRST + 3]);
  });
});

describe('the doctor on a cluster', () => {
  it('tells another certificate before anything is sent, and a token that is not known', async () => {
    const fixture = await newFixture();
    const options = fixture.options();
    fixture.simulator.control.renewCertificate();
    expect((await diagnose(fixture, options)).of('')).toMatchObject({
      severity: 'failure',
      code: 'PROVISIONER_CERTIFICATE_CHANGED',
    });
    await fixture.writeToken('root@pam!sim=00000000-0000-0000-0000-000000000000');
    expect((await diagnose(fixture)).of('').detail).toContain('does not accept the API token');
    await fixture.writeToken('root@pam!sim=x', 0o644);
    expect((await diagnose(fixture).catch((error: unknown) => error)) as Seen).toMatchObject({
      results: [{ name: 'opening', code: 'KEY_FILE_UNSAFE' }],
    });
  });

  it('sees lost quorum, a dark node, an unknown node, and clocks that differ', async () => {
    const fixture = await newFixture({ nodes: 3 });
    const { control } = fixture.simulator;
    const bringBack = control.takeNodeDown('pve2');
    expect((await diagnose(fixture)).of('cluster')).toMatchObject({
      severity: 'warning',
      detail: 'pve2 does not answer; what is there is unknown.',
    });
    bringBack();
    const unknown = await diagnose(fixture, { nodes: ['pve4'] });
    expect(unknown.of('cluster').remedy).toContain('pve1, pve2, pve3');
    const clock = { ...systemClock, now: () => systemClock.now() + 60_000 };
    expect((await diagnose(fixture, {}, { clock })).of('clock').detail).toMatch(/pve2 is 6[01] s behind/);
    control.loseQuorum();
    expect((await diagnose(fixture)).of('cluster').detail).toContain('no quorum');
  });

  it('holds templates against what is sold', async () => {
    const fixture = await newFixture({ withoutTemplate: true });
    expect((await diagnose(fixture)).of('templates').detail).toContain('No node has a template debian-12');
    const { control } = fixture.simulator;
    await control.addVm({
      vmid: TEMPLATE,
      name: 'debian-12',
      template: true,
      diskBytes: 9 * 1024 ** 3,
      without: ['agent'],
    });
    expect((await diagnose(fixture)).of('templates').detail).toContain(
      `Small, debian-12: ${TEMPLATE} on pve1: The template's disk has 9 GB, more than the 5 GB`,
    );
    const larger = [{ ...OFFER, diskGb: 20 }];
    const { of } = await diagnose(fixture, {}, { offers: larger });
    expect(of('templates')).toMatchObject({
      severity: 'warning',
      remedy: expect.stringContaining(`qm set ${TEMPLATE} --agent 1`) as string,
    });
    await control.addVm({ vmid: TEMPLATE, name: 'debian-12', template: true, without: ['ide2'] });
    expect((await diagnose(fixture)).of('templates').detail).toContain('no cloud-init drive');
    await control.addVm({ vmid: TEMPLATE, name: 'debian-12' });
    expect((await diagnose(fixture)).of('templates').detail).toContain('is no template');
  });

  it('sees a storage without room, one that is not there, a missing bridge, and VMIDs that run out', async () => {
    const fixture = await newFixture();
    const free = fixture.simulator.control.fillStorage('local-lvm', 4 * 1024 ** 3);
    expect((await diagnose(fixture, {}, { mayProbe: false })).of('storage')).toMatchObject({
      severity: 'warning',
      detail: 'local-lvm on pve1 has 0 GB beyond its reserve.',
    });
    free();
    const nowhere = await diagnose(fixture, { storage: 'nowhere', bridge: 'vmbr7' }, { mayProbe: false });
    expect(nowhere.of('storage').remedy).toContain('Datastore.Audit on /storage/nowhere');
    expect(nowhere.of('bridges').detail).toBe('The token sees no bridge vmbr7 on pve1.');
    const last = VMID_FIRST + 2;
    expect((await diagnose(fixture, { vmid_last: last })).of('vmids').severity).toBe('warning');
  });
});
