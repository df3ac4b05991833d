/** Nothing waits for anything else: what is slow or silent delays itself, and nothing beside it. */
import { sleep } from '@dc/shared/clock';
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Provisioner } from '../provisioners/provisioner.ts';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';

const HOUR_MS = 3_600_000;
const SLOW_CPU = 9;
const makeDir = tempDirs();
let world: Installation;

beforeEach(async () => {
  world = new Installation(await makeDir(), { parallel: 8 });
});
afterEach(async () => {
  await world.close();
  expect(world.clock.timerCount).toBe(0);
});

/** The driver with some of its methods replaced. */
function withMethods(change: (inner: Provisioner) => Partial<Provisioner>): Provisioner {
  const inner = world.openProvisioner();
  const changed = change(inner);
  return new Proxy(inner, {
    get(target, name) {
      const replaced = changed[name as keyof Provisioner];
      const value: unknown = replaced ?? Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** `create` takes so long. */
const slowTo = (delayMs: (cpu: number) => number, laneOf?: Provisioner['laneOf']): Provisioner =>
  withMethods((inner) => ({
    async create(request, signal) {
      await sleep(world.clock, delayMs(request.spec.cpu), signal);
      return inner.create(request, signal);
    },
    ...(laneOf === undefined ? {} : { laneOf }),
  }));

/** Resolves when the signal is aborted, as a call that nobody answers. */
const silence = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
  });

function order(cpu = 1): string {
  const contract = world.newContract();
  const spec = {
    offering_id: '01890000-0000-7000-8000-000000000001',
    cpu,
    memory_mb: 512,
    disk_gb: 5,
    operating_system: 'debian-12',
    ssh_public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm5ZzGzjnP5XrkWx0b8ZQWl0r6ZmBW0x4pY8Vf8XfWk',
  };
  world.coordinator.addWork('provision', contract, { spec });
  return contract;
}

const made = (): string[] =>
  world.coordinator.records
    .filter(({ payload }) => payload.kind === 'provisioned')
    .map(({ payload }) => payload.contract_id);

/** How many calls of this name came while `ms` passed. */
async function callsDuring(name: string, ms: number): Promise<number> {
  const before = world.coordinator.calls.length;
  await world.clock.advance(ms);
  return world.coordinator.calls.slice(before).filter((call) => call === name).length;
}

describe('A slow backend', () => {
  it('delays neither heartbeats nor the renewal of leases, nor looks at what runs', async () => {
    await world.start({ provisioner: slowTo((cpu) => (cpu === SLOW_CPU ? 4 * 60_000 : 0)) });
    const running = order();
    await settle();
    for (let count = 0; count < 8; count += 1) order(SLOW_CPU);
    await settle();
    const before = world.coordinator.calls.length;
    await world.clock.advance(180_000);
    const calls = world.coordinator.calls.slice(before);
    expect(calls.filter((call) => call === 'heartbeat').length).toBeGreaterThanOrEqual(5);
    expect(calls.filter((call) => call === 'renew').length).toBeGreaterThanOrEqual(8 * 6);
    expect(world.coordinator.records.some(({ payload }) => payload.kind === 'health')).toBe(true);
    expect(made()).toEqual([running]);
    await world.clock.advance(2 * 60_000);
    expect(made()).toHaveLength(9);
  });

  it('in one lane delays no contract in another, however many wait before it', async () => {
    const laneOf: Provisioner['laneOf'] = ({ cpu }) => (cpu === SLOW_CPU ? 'slow storage' : 'fast storage');
    await world.start({ provisioner: slowTo((cpu) => (cpu === SLOW_CPU ? 4 * 60_000 : 1_000), laneOf) });
    for (let count = 0; count < 40; count += 1) order(SLOW_CPU);
    const fast = order();
    await world.clock.advance(1_100);
    expect(made()).toEqual([fast]);
  });

  it('builds as many at once as it is allowed to in each lane, and no more', async () => {
    let now = 0;
    let most = 0;
    const provisioner = withMethods((inner) => ({
      laneOf: ({ cpu }) => `storage ${String(cpu)}`,
      async create(request, signal) {
        now += 1;
        most = Math.max(most, now);
        await sleep(world.clock, 10_000, signal).finally(() => (now -= 1));
        return inner.create(request, signal);
      },
    }));
    await world.start({ provisioner });
    for (let count = 0; count < 12; count += 1) for (const cpu of [1, 2]) order(cpu);
    await world.clock.advance(10_100);
    expect(made()).toHaveLength(16);
    await world.clock.advance(10_100);
    expect(made()).toHaveLength(24);
    expect(most).toBe(16);
  });

  it('of 2 s an instance and 8 at a time has 200 contracts done within a tenth of the ideal 50 s', async () => {
    await world.start({ provisioner: slowTo(() => 2_000) });
    for (let count = 0; count < 200; count += 1) order();
    await world.clock.advance(55_000);
    expect(new Set(made()).size).toBe(200);
  }, 60_000);
});

describe('A backend that nobody can look at', () => {
  it('delays no heartbeat and no order, and is told as ill', async () => {
    let isSilent = false;
    const provisioner = withMethods((inner) => ({
      list: (signal) => (isSilent ? silence(signal) : inner.list(signal)),
      fingerprint: (signal) => (isSilent ? silence(signal) : inner.fingerprint(signal)),
    }));
    await world.start({ provisioner });
    isSilent = true;
    await world.clock.advance(62_000); // The next look has begun, and hangs.
    const contract = order();
    await settle();
    expect(made()).toEqual([contract]);
    expect(await callsDuring('heartbeat', 120_000)).toBeGreaterThanOrEqual(4);
    expect(world.coordinator.beats.at(-1)?.healthy).toBe(false);
  });
});

describe('A coordinator that answers one call no more', () => {
  const silent = (name: string) => {
    world.coordinator.before = (call) => (call === name ? new Promise(() => undefined) : undefined);
  };

  it.each(['heartbeat', 'stream', 'return'])('%s: is sent orders’ results all the same', async (name) => {
    await world.start();
    silent(name);
    await world.clock.advance(30_000);
    const contract = order();
    await world.clock.advance(21_000);
    expect(made()).toEqual([contract]);
    expect(await callsDuring('lease', 60_000)).toBeGreaterThan(0);
  });

  it('records: is leased from and told that we live all the same', async () => {
    await world.start();
    silent('records');
    order();
    await settle();
    expect(world.backend.objects.size).toBe(1);
    expect(await callsDuring('heartbeat', 60_000)).toBeGreaterThanOrEqual(2);
  });
});

describe('An instance that does not answer', () => {
  it('delays no look at the others, and nothing else', async () => {
    const dark = new Set<number>();
    world.look = ({ port }, signal) =>
      dark.has(port) ? sleep(world.clock, HOUR_MS, signal).then(() => 0) : Promise.resolve(3);
    await world.start();
    const [first, second] = [order(), order()];
    await settle();
    for (const { contractId, port } of world.backend.objects.values())
      if (contractId === first) dark.add(port);
    await world.clock.advance(60_000);
    const third = order();
    await settle();
    expect(made()).toEqual([first, second, third]);
    expect(await callsDuring('heartbeat', 60_000)).toBeGreaterThanOrEqual(2);
  });
});
