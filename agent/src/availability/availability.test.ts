import { join } from 'node:path';
import { verifyCapacity, hashIncluded } from '@dc/shared/evidence/capacity';
import { NO_CONTRACT } from '@dc/shared/evidence/record';
import { explanationRows } from '@dc/shared/wire/explanation';
import { settle } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../cli.ts';
import { controlSocket, journalFile } from '../config/paths.ts';
import { openJournal } from '../journal/open-journal.ts';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { testWorld } from '../testing/test-world.ts';
import { parseDuration } from './parse-duration.ts';

const makeDir = tempDirs();
let world: Installation;
let configFile: string;
const MINUTE_MS = 60_000;

beforeEach(async () => {
  const dir = await makeDir();
  world = new Installation(join(dir, 'state'));
  configFile = join(dir, 'dc-agent.toml');
  await world.writeConfig(configFile);
});
afterEach(() => world.close());

const startAgent = () => world.start({ controlPath: controlSocket(world.config.stateDir) });

async function run(...argv: string[]): Promise<{ exitCode: number; out: string; err: string }> {
  const command = testWorld({ clock: world.clock });
  const exitCode = await runCli(['--config', configFile, ...argv], command);
  await settle();
  return { exitCode, out: command.printed(), err: command.complained() };
}

const escape = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
const lastBeat = () => world.coordinator.beats.at(-1);
const said = () =>
  world.coordinator.records
    .filter(({ payload }) => payload.kind === 'availability')
    .map(({ payload }) => payload);

describe('dc-agent drain', () => {
  it('is announced at once and signed, hands new orders back, and leaves what is there alone', async () => {
    await startAgent();
    const kept = world.newContract();
    world.coordinator.addWork('provision', kept);
    await settle();
    expect((await run('drain')).out).toContain('takes no new work until');
    expect(lastBeat()).toMatchObject({ draining: true, running_contracts: [kept] });
    expect(said()).toMatchObject([
      { contract_id: NO_CONTRACT, epoch: 0, data: { draining: true, maintenance_until: null } },
    ]);
    const item = world.coordinator.addWork('provision', world.newContract());
    await settle();
    expect(item.returned).toMatchObject({ code: 'maintenance', nothing_made: true });
    world.coordinator.addWork('destroy', kept);
    await settle();
    expect(world.backend.objects.size).toBe(0);
  });

  it('outlives a restart, and ends with --off', async () => {
    const agent = await startAgent();
    await run('drain');
    await agent.stop();
    await startAgent();
    expect(lastBeat()).toMatchObject({ draining: true });
    expect((await run('status')).out).toMatch(/^new work +none, since .* → dc-agent drain --off$/m);
    expect((await run('drain')).out).toContain('Nothing to change');
    expect((await run('drain', '--off')).out).toContain('takes new work');
    expect(lastBeat()?.draining).toBeUndefined();
    expect(said().map(({ data }) => data['draining'])).toEqual([true, false]);
    const item = world.coordinator.addWork('provision', world.newContract());
    await settle();
    expect(item.state).toBe('done');
    expect(item.returned).toBeNull();
  });
});

describe('dc-agent maintenance', () => {
  it('says until when, ends by itself then, and hands nothing back any more', async () => {
    await startAgent();
    const until = new Date(Math.round(world.clock.now()) + 10 * MINUTE_MS).toISOString();
    expect((await run('maintenance', 'start', '--for', '10m')).out).toContain(until);
    expect(lastBeat()).toMatchObject({ maintenance_until: until });
    expect(said().at(-1)?.data).toEqual({ draining: false, maintenance_until: until });
    await world.clock.advance(10 * MINUTE_MS + 31_000);
    expect(lastBeat()?.maintenance_until).toBeUndefined();
    const item = world.coordinator.addWork('provision', world.newContract());
    await settle();
    expect(item.returned).toBeNull();
  });

  it('can be made longer, and ended before its time', async () => {
    await startAgent();
    expect((await run('maintenance', 'end')).out).toContain('There is no maintenance');
    await run('maintenance', 'start', '--for', '30m');
    await run('maintenance', 'start', '--for', '1d');
    expect((await run('status')).out).toMatch(/^new work +none, in maintenance until 20/m);
    expect((await run('maintenance', 'end')).out).toContain('is over');
    expect(lastBeat()?.maintenance_until).toBeUndefined();
    expect(said().map(({ data }) => data['maintenance_until'] === null)).toEqual([false, false, true]);
  });

  it.each([[[]], [['--for', 'soon']], [['--for', '0h']], [['--for', '31d']]])(
    'asks for a time that can be read: %j',
    async (options) => {
      await startAgent();
      const { exitCode, err } = await run('maintenance', 'start', ...options);
      expect(exitCode).toBe(2);
      expect(err).toContain('maintenance start --for 2h');
      expect(said()).toEqual([]);
    },
  );

  it('is kept in the journal, so that the record and the state are one', async () => {
    const agent = await startAgent();
    await run('maintenance', 'start', '--for', '1h');
    await agent.stop();
    const journal = openJournal(journalFile(world.config.stateDir), { random: world.random });
    expect(journal.lastSeq(world.keys.agentKey.publicKey)).toBe(1);
    journal.close();
  });
});

describe('A duration', () => {
  it.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['1h30m', 5_400_000],
    ['2d', 172_800_000],
    ['', null],
    ['2', null],
    ['-1h', null],
    ['0m', null],
  ])('%s', (text, ms) => expect(parseDuration(text)).toBe(ms));
});

describe('What an agent states of its capacity', () => {
  it('is signed by its key, expires, and is bound to the contracts that were there', async () => {
    await startAgent();
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await world.clock.advance(100_000);
    const beat = lastBeat();
    const signed = verifyCapacity(beat?.capacity_statement ?? '');
    expect(signed?.agent).toBe(world.keys.agentKey.publicKey);
    expect(beat?.capacity_includes).toEqual([contract]);
    const { statement } = signed!;
    expect(statement).toMatchObject({
      environment: 'test',
      instances: 999,
      includes: hashIncluded([contract]),
    });
    expect(Date.parse(statement.expires_at) - Date.parse(statement.seen_at)).toBe(180_000);
    expect(Math.abs(Date.parse(statement.seen_at) - world.clock.now())).toBeLessThan(70_000);
  });

  it('is none at a backend that holds more than it was made for, and the heartbeat counts all the same', async () => {
    world.backend.instancesMax = -3;
    await startAgent();
    await world.clock.advance(100_000);
    const { statement } = verifyCapacity(lastBeat()?.capacity_statement ?? '')!;
    expect(statement).toMatchObject({ cpu: 0, memory_mb: 0, instances: 0, addresses: 0 });
    expect(statement.storages).toEqual([{ name: 'memory', free_gb: 0 }]);
  });

  it('is not stated anew while nobody can look, and nothing is claimed of a backend that is ill', async () => {
    await startAgent();
    const before = verifyCapacity(lastBeat()?.capacity_statement ?? '')!.statement.seen_at;
    world.backend.inject({ on: 'fingerprint', what: 'error' });
    await world.clock.advance(40_000);
    const same = verifyCapacity(lastBeat()?.capacity_statement ?? '')!.statement.seen_at;
    expect(Math.abs(Date.parse(same) - Date.parse(before))).toBeLessThan(5);
    await world.clock.advance(45_000);
    expect(lastBeat()).toMatchObject({ healthy: false });
    expect(lastBeat()?.capacity_statement).toBeUndefined();
  });
});

describe('What does not go on', () => {
  it('is told with the text of dc-agent why', async () => {
    await startAgent();
    for (let count = 0; count < 12; count += 1) world.backend.inject({ on: 'create', what: 'error' });
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await world.clock.advance(31_000);
    const told = lastBeat()?.blocked?.[0];
    expect(told).toMatchObject({ contract_id: contract, blocked_by: { code: 'retry_later' } });
    const { out } = await run('why', contract);
    for (const [name, text] of explanationRows(told!).filter(([row]) => row !== 'next'))
      expect(out).toMatch(new RegExp(`^${name} +${escape(text)}$`, 'm'));
    expect(out).toContain(told!.last_attempts[0]!.saga_id);
    await world.clock.advance(600_000);
    expect(lastBeat()?.blocked).toEqual([]);
  });
});
