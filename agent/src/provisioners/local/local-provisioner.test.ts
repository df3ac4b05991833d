import { createServer } from 'node:net';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAppError } from '@dc/shared/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startCommand } from '../../lib/run-command.ts';
import { systemClock } from '../../lib/system-clock.ts';
import type { Instance } from '../provisioner.ts';
import type { InstanceRecord } from './instance-store.ts';
import type { LocalProvisioner } from './local-provisioner.ts';
import { accessOf, isPortOpen, LocalFixture } from './testing/local-fixture.ts';

let fixture: LocalFixture;
let driver: LocalProvisioner;

beforeEach(async () => {
  fixture = await LocalFixture.make();
  driver = await fixture.open();
});
afterEach(async () => {
  await driver.close();
  await fixture.dispose();
});

const anInstance = async (): Promise<Instance> => driver.create(await fixture.request(), fixture.signal);
const destroy = (instance: Instance) => driver.destroy(instance.handle, instance.seal ?? '', fixture.signal);
const codeOf = async (promise: Promise<unknown>): Promise<unknown> => {
  const outcome = await promise.catch((error: unknown) => error);
  return isAppError(outcome) ? outcome.code : outcome;
};
const reopen = async (): Promise<void> => {
  await driver.close();
  driver = await fixture.open();
};
const homeOf = (instance: Instance): string =>
  join(fixture.stateDir, 'instances', instance.handle.id, 'home');
const editRecord = async ({ handle }: Instance, changes: Partial<InstanceRecord>): Promise<void> => {
  const record = JSON.parse(await readFile(fixture.recordFile(handle.id), 'utf8')) as InstanceRecord;
  await writeFile(fixture.recordFile(handle.id), JSON.stringify({ ...record, ...changes }));
};
/** How many processes have this instance's home as their HOME. */
const processesOf = async (instance: Instance): Promise<number> => {
  const { stdout } = await fixture.run('sh', [
    '-c',
    `grep -lz "^HOME=${homeOf(instance)}$" /proc/[0-9]*/environ | wc -l`,
  ]);
  return Number(stdout);
};

describe('what runs in an instance', () => {
  const BACKGROUND = 'nohup setsid sleep 300 >/dev/null 2>&1 & echo started; sleep 300';

  it.each([
    ['destroyed', (instance: Instance) => destroy(instance)],
    ['stopped', (instance: Instance) => driver.stop(instance.handle, instance.seal ?? '', fixture.signal)],
    ['left by the agent', () => driver.close()],
  ])('is gone when it is %s, in the background too', async (_, end) => {
    const instance = await anInstance();
    const login = fixture.ssh(instance, [BACKGROUND]);
    await expect.poll(() => processesOf(instance)).toBeGreaterThanOrEqual(2);
    await end(instance);
    expect(await processesOf(instance)).toBe(0);
    expect((await login).exitCode).not.toBe(0);
    expect(await isPortOpen(accessOf(instance))).toBe(false);
  });

  it('is told when its client goes', async () => {
    const instance = await anInstance();
    const client = await fixture.startSsh(instance, 'sleep 300');
    client.stdout.resume();
    client.stderr.resume();
    await expect.poll(() => processesOf(instance)).toBeGreaterThanOrEqual(1);
    await client.stop();
    await expect.poll(() => processesOf(instance)).toBe(0);
  });
});

it('does not keep a command that goes on talking when its client is gone', async () => {
  const instance = await anInstance();
  const client = await fixture.startSsh(instance, 'trap "" HUP; yes');
  client.stdout.resume();
  client.stderr.resume();
  await expect.poll(() => processesOf(instance)).toBeGreaterThanOrEqual(1);
  await client.stop();
  await expect.poll(() => processesOf(instance)).toBe(0);
});

describe('after a restart of the agent', () => {
  it('nothing runs that the agent before it had started and could not end', async () => {
    const instance = await anInstance();
    await driver.close();
    const env = { PATH: '/usr/bin:/bin', HOME: homeOf(instance) };
    const orphan = await startCommand({ file: 'sleep', args: ['300'], env }, systemClock);
    driver = await fixture.open();
    expect(await orphan.ended).toMatchObject({ signal: 'SIGKILL' });
  });

  it('an instance has the same port, host key and files', async () => {
    const instance = await anInstance();
    await fixture.ssh(instance, ['echo kept > file']);
    await reopen();
    expect(await fixture.ssh(instance, ['cat file'])).toMatchObject({ exitCode: 0, stdout: 'kept\n' });
  });

  it('one whose port was taken meanwhile is off and says why, and starts when the port is free', async () => {
    const instance = await anInstance();
    const { host, port } = accessOf(instance);
    await driver.close();
    const squatter = createServer().listen(port, host);
    await new Promise((resolve) => squatter.once('listening', resolve));
    driver = await fixture.open();
    const found = await driver.inspect(instance.handle, fixture.signal);
    expect(found).toMatchObject({ existence: 'present', instance: { power: 'stopped', ssh: { port } } });
    expect(found).toMatchObject({ instance: { problem: expect.stringContaining(`port ${port}`) as string } });
    const start = () => driver.start(instance.handle, instance.seal ?? '', fixture.signal);
    expect(await codeOf(start())).toBe('PROVISIONER_UNAVAILABLE');
    await new Promise((resolve) => squatter.close(resolve));
    expect(await start()).toEqual({ existence: 'present', instance });
    expect((await fixture.ssh(instance, ['true'])).exitCode).toBe(0);
  });

  it('one that was being destroyed is gone', async () => {
    const instance = await anInstance();
    await driver.close();
    await editRecord(instance, { phase: 'destroying' });
    driver = await fixture.open();
    expect(await fixture.folders()).toEqual([]);
    expect(await driver.inspect(instance.handle, fixture.signal)).toMatchObject({ existence: 'absent' });
  });

  it('one that cannot be destroyed to the end stays listed, does not start, and can be tried again', async () => {
    const instance = await anInstance();
    await editRecord(instance, { phase: 'destroying' });
    const list = await driver.list(fixture.signal);
    expect(list.instances).toMatchObject([{ problem: 'it is being destroyed' }]);
    const start = driver.start(instance.handle, instance.seal ?? '', fixture.signal);
    expect(await codeOf(start)).toBe('PROVISIONER_UNAVAILABLE');
    expect(await destroy(instance)).toEqual({ destroyed: true });
    expect(await fixture.folders()).toEqual([]);
  });

  it('one that was being destroyed without our seal is left alone', async () => {
    const instance = await anInstance();
    await driver.close();
    await editRecord(instance, { phase: 'destroying', seal: null });
    driver = await fixture.open();
    expect(await driver.list(fixture.signal)).toMatchObject({
      complete: true,
      instances: [{ seal: null, power: 'stopped' }],
    });
  });

  it('what was half made or half removed is cleared away', async () => {
    await driver.close();
    for (const name of ['.making-one', '.gone-two']) {
      await mkdir(join(fixture.stateDir, 'instances', name, 'home'), { recursive: true });
    }
    driver = await fixture.open();
    expect(await fixture.folders()).toEqual([]);
  });

  it('one with a forged seal does not start', async () => {
    const instance = await anInstance();
    await driver.close();
    await editRecord(instance, { seal: 'dc1.forged' });
    driver = await fixture.open();
    expect(await isPortOpen(accessOf(instance))).toBe(false);
  });
});

describe('what cannot be read', () => {
  it.each([
    ['is not JSON', (instance: Instance) => writeFile(fixture.recordFile(instance.handle.id), '{"half')],
    ['is missing', (instance: Instance) => rm(fixture.recordFile(instance.handle.id))],
    ['is of a later version', (instance: Instance) => editRecord(instance, { format: 2 } as never)],
    ['is another instance’s', (instance: Instance) => editRecord(instance, { contractId: 'another' })],
  ])('is unknown and never absent, and is left alone: a record that %s', async (_, spoil) => {
    const request = await fixture.request();
    const instance = await driver.create(request, fixture.signal);
    const other = await anInstance();
    await spoil(instance);
    for (const round of ['before a restart', 'after a restart']) {
      if (round === 'after a restart') await reopen();
      expect(await driver.inspect(instance.handle, fixture.signal)).toMatchObject({ existence: 'unknown' });
      const list = await driver.list(fixture.signal);
      expect(list).toMatchObject({ complete: false, instances: [{ handle: other.handle }] });
      expect(list.problem).toContain(instance.handle.id);
      expect(await codeOf(destroy(instance))).toBe('PROVISIONER_UNAVAILABLE');
      const again = driver.create({ ...request, token: 'another' }, fixture.signal);
      expect(await codeOf(again)).toBe('PROVISIONER_UNAVAILABLE');
      expect(await fixture.folders()).toHaveLength(2);
    }
  });

  it('includes handles from another state folder: an empty disk proves nothing', async () => {
    const instance = await anInstance();
    await driver.close();
    await rm(fixture.stateDir, { recursive: true });
    driver = await fixture.open();
    expect(await driver.inspect(instance.handle, fixture.signal)).toMatchObject({ existence: 'unknown' });
    expect(await codeOf(destroy(instance))).toBe('PROVISIONER_UNAVAILABLE');
  });

  it('includes handles that lead out of the folder', async () => {
    const instance = await anInstance();
    for (const id of ['../instances', '..', '', '.making-x']) {
      const handle = { ...instance.handle, id };
      expect(await driver.inspect(handle, fixture.signal)).toMatchObject({ existence: 'absent' });
      expect(await driver.destroy(handle, instance.seal ?? '', fixture.signal)).toEqual({ destroyed: false });
    }
    expect(await fixture.folders()).toEqual([instance.handle.id]);
  });

  it('makes the driver unhealthy, and its list incomplete, when it is the whole folder', async () => {
    const instance = await anInstance();
    await rm(join(fixture.stateDir, 'instances'), { recursive: true });
    expect(await driver.fingerprint(fixture.signal)).toMatchObject({ healthy: false, freeCapacity: null });
    expect(await driver.list(fixture.signal)).toMatchObject({ complete: false, instances: [] });
    expect(await driver.inspect(instance.handle, fixture.signal)).toMatchObject({ existence: 'unknown' });
  });
});

describe('orders', () => {
  it('with a key or a host name that cannot be used are refused, and leave nothing', async () => {
    const request = await fixture.request();
    const wrong = [
      { sshPublicKey: 'ssh-ed25519 AAAA' },
      { sshPublicKey: '-----BEGIN OPENSSH PRIVATE KEY-----' },
      { hostname: 'two words' },
      { hostname: "a'; id; '" },
    ];
    for (const change of wrong) {
      const creating = driver.create({ ...request, spec: { ...request.spec, ...change } }, fixture.signal);
      expect(await codeOf(creating)).toBe('PROVISIONER_SPEC_UNSUPPORTED');
    }
    expect(await fixture.folders()).toEqual([]);
  });

  it('beyond the capacity are refused, also when they come at once', async () => {
    await driver.close();
    driver = await fixture.open({ capacity: { instances: 2, cpu: 8, memory_mb: 2048, disk_gb: 100 } });
    const requests = await Promise.all([1, 2, 3].map(() => fixture.request()));
    const codes = await Promise.all(
      requests.map((request) => codeOf(driver.create(request, fixture.signal))),
    );
    expect(codes.filter((code) => code === 'PROVISIONER_EXHAUSTED')).toHaveLength(1);
    expect((await driver.fingerprint(fixture.signal)).freeCapacity).toEqual({
      cpu: 6,
      memoryMb: 1024,
      diskGb: 90,
      instances: 0,
      storages: [{ name: 'instances', freeGb: 90 }],
    });
    const [made] = (await driver.list(fixture.signal)).instances;
    await destroy(made!);
    await anInstance();
  });

  it('get ports from the configured range only, one kept for an instance that is off', async () => {
    await driver.close();
    const probe = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => probe.once('listening', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    driver = await fixture.open({ port_first: port, port_last: port });
    const instance = await anInstance();
    expect(accessOf(instance).port).toBe(port);
    await driver.stop(instance.handle, instance.seal ?? '', fixture.signal);
    expect(await codeOf(driver.create(await fixture.request(), fixture.signal))).toBe(
      'PROVISIONER_EXHAUSTED',
    );
    await destroy(instance);
    expect(accessOf(await anInstance()).port).toBe(port);
  });

  it('after closing are refused', async () => {
    await driver.close();
    expect(await codeOf(driver.create(await fixture.request(), fixture.signal))).toBe('SAGA_ABORTED');
    expect(await fixture.folders()).toEqual([]);
  });
});

it('keeps what it writes to itself', async () => {
  const instance = await anInstance();
  const modeOf = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);
  expect(await modeOf(fixture.recordFile(instance.handle.id))).toBe('600');
  expect(await modeOf(homeOf(instance))).toBe('700');
  expect(await modeOf(fixture.stateDir)).toBe('700');
});
