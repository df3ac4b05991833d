/** `confirm` and `orphans` as real processes, beside a real agent with the local driver, and without one. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { makeSeal } from '@dc/shared/seal';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { renderConfig } from './config/config-template.ts';
import { controlSocket, driverDir, journalFile } from './config/paths.ts';
import { openJournalReader } from './journal/open-journal.ts';
import { systemClock } from './lib/system-clock.ts';
import { systemRandom } from './lib/system-random.ts';
import { openProvisioner } from './provisioners/registry.ts';
import { ENVIRONMENT, MemoryCoordinator } from './testing/memory-coordinator.ts';
import { tempDirs } from './testing/temp-dir.ts';
import { WireServer } from './testing/wire-server.ts';

const MAIN = join(import.meta.dirname, 'main.ts');
const SEED = Buffer.alloc(32, 5);
const SEAL_SECRET = Buffer.alloc(32, 6);
const makeDir = tempDirs();
const agentKey = SigningKey.fromSeed(SEED).publicKey;
const started: ChildProcess[] = [];
let coordinator: MemoryCoordinator;
let wire: WireServer;
let stateDir: string;
let config: string;

beforeEach(async () => {
  coordinator = new MemoryCoordinator(systemClock, agentKey);
  wire = await WireServer.start(coordinator);
  const dir = await makeDir();
  stateDir = join(dir, 'state');
  const keyDir = join(dir, 'keys');
  config = join(dir, 'dc-agent.toml');
  await mkdir(keyDir, { mode: 0o700 });
  await writeFile(join(keyDir, 'agent.key'), `${SEED.toString('hex')}\n`, { mode: 0o600 });
  await writeFile(join(keyDir, 'seal.key'), `${SEAL_SECRET.toString('hex')}\n`, { mode: 0o600 });
  const text = renderConfig({
    coordinator: { url: wire.url, public_keys: [coordinator.key.publicKey] },
    agent: {
      environment: ENVIRONMENT,
      provider_pubkey: agentKey,
      pool_id: '01890000-0000-7000-8000-0000000000b1',
      state_dir: stateDir,
      key_dir: keyDir,
    },
    provisioner: { kind: 'local' },
  });
  await writeFile(config, text, { mode: 0o600 });
});
afterEach(async () => {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
  await wire.stop();
});

/** Starts the program. */
function start(...args: string[]) {
  const env = { PATH: process.env['PATH'] };
  const child = spawn(process.execPath, [MAIN, ...args, '--config', config], { env });
  started.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, output: () => output };
}

/** Runs a command to its end. */
async function run(...args: string[]) {
  const { ended, output } = start(...args);
  const exitCode = await ended;
  return { exitCode, output: output() };
}

async function startAgent() {
  const agent = start('run');
  await until(() => agent.output().includes('stream.opened') && existsSync(controlSocket(stateDir)));
  return agent;
}

async function stopAgent(agent: ReturnType<typeof start>): Promise<void> {
  agent.child.kill('SIGTERM');
  expect(await agent.ended).toBe(143);
}

async function until(isReached: () => boolean): Promise<void> {
  while (!isReached()) await new Promise((resolve) => setTimeout(resolve, 20));
}

function pausedCount(): number {
  const reader = openJournalReader(journalFile(stateDir));
  try {
    return reader.pausedReleases().length;
  } finally {
    reader.close();
  }
}

const count = (kind: string): number =>
  coordinator.records.filter(({ payload }) => payload.kind === kind).length;
const contract = (index: number): string => `01890000-0000-7000-8000-${String(index).padStart(12, 'c')}`;

/** Leaves an instance in the local driver's folder that no journal knows; answers its id. */
async function leave(index: number, environment = ENVIRONMENT): Promise<string> {
  const contractId = contract(index);
  const provisioner = await openProvisioner(
    'local',
    {},
    {
      clock: systemClock,
      random: systemRandom,
      sealSecret: SEAL_SECRET,
      stateDir: driverDir(stateDir, 'local'),
    },
  );
  try {
    const seal = makeSeal(SEAL_SECRET, { contractId, environment });
    const sshPublicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm5ZzGzjnP5XrkWx0b8ZQWl0r6ZmBW0x4pY8Vf8XfWk';
    const size = { cpu: 1, memoryMb: 256, diskGb: 1 };
    const spec = { ...size, operatingSystem: 'debian-12', sshPublicKey, hostname: 'left' };
    const request = { contractId, seal, token: `left ${String(index)}`, spec };
    return (await provisioner.create(request, new AbortController().signal)).handle.id;
  } finally {
    await provisioner.close();
  }
}

const folderOf = (id: string): string => join(driverDir(stateDir, 'local'), 'instances', id);

/** Lets everything have been seen long ago; with the agent off. */
function age(): void {
  const journal = new Database(journalFile(stateDir));
  journal.exec('UPDATE unaccounted SET first_seen_at = first_seen_at - 4000000, times_seen = times_seen + 1');
  journal.close();
}

describe('dc-agent confirm', { timeout: 60_000 }, () => {
  it('lets what waits go on, beside a running agent and without one', async () => {
    let agent = await startAgent();
    for (let index = 1; index <= 7; index += 1) coordinator.addWork('provision', contract(index));
    await until(() => count('provisioned') === 7);
    for (let index = 1; index <= 5; index += 1) coordinator.addWork('destroy', contract(index));
    await until(() => count('destroyed') === 3 && pausedCount() === 2);

    const status = await run('status');
    expect(status.output).toMatch(/2 releases wait for you, .* → dc-agent confirm/);
    const asked = await run('confirm');
    expect([asked.exitCode, asked.output]).toEqual([2, expect.stringContaining('ENDED BECAUSE')]);
    expect(asked.output).toContain('Nothing was confirmed');
    expect(pausedCount()).toBe(2);
    const waiting = JSON.parse((await run('confirm', '--yes', '--json')).output) as { confirmed: number };
    expect(waiting).toMatchObject({ confirmed: 2, releases: [{ reason: 'expired' }, { reason: 'expired' }] });
    await until(() => count('destroyed') === 5);

    // A release of its own, held back: with the count at its limit by hand, since only three go free.
    await stopAgent(agent);
    const journal = new Database(journalFile(stateDir));
    journal.exec('UPDATE releases SET counts = 1');
    journal.close();
    agent = await startAgent();
    for (const index of [6, 7]) coordinator.addWork('destroy', contract(index));
    await until(() => pausedCount() === 2);
    await stopAgent(agent);
    const done = await run('confirm', '--yes');
    expect([done.exitCode, done.output]).toEqual([0, expect.stringContaining('Confirmed: 2 of them go on.')]);
    expect((await run('confirm', '--yes')).output).toContain('Nothing waits');
    await startAgent();
    await until(() => count('destroyed') === 7);
  });
});

describe('dc-agent orphans', { timeout: 60_000 }, () => {
  it('lists them, and destroys one that was watched for long enough, with or without a running agent', async () => {
    const [first, second] = [await leave(1), await leave(2)];
    const foreign = await leave(3, 'prod');
    let agent = await startAgent();
    const list = await run('orphans', 'list');
    expect(list.output).toMatch(new RegExp(`^orphan +${first} .* only watched until`, 'm'));
    expect(list.output).toMatch(new RegExp(`^foreign +${foreign} .* made in the environment prod`, 'm'));
    const early = await run('orphans', 'destroy', first, '--yes', '--id-again', first);
    expect([early.exitCode, early.output]).toEqual([1, expect.stringContaining('[ORPHAN_TOO_YOUNG]')]);
    await stopAgent(agent);
    age();

    agent = await startAgent();
    for (const args of [[], ['--yes'], ['--id-again', first], ['--yes', '--id-again', second]]) {
      const { exitCode, output } = await run('orphans', 'destroy', first, ...args);
      expect([exitCode, output]).toEqual([2, expect.stringContaining('not confirmed twice')]);
    }
    const refused = await run('orphans', 'destroy', foreign, '--yes', '--id-again', foreign);
    expect(refused.output).toContain('[PROVISIONER_FOREIGN]');
    expect([first, second, foreign].map((id) => existsSync(folderOf(id)))).toEqual([true, true, true]);

    const beside = await run('orphans', 'destroy', first, '--yes', '--id-again', first);
    expect(beside).toEqual({ exitCode: 0, output: `${first} is destroyed.\n` });
    await stopAgent(agent);
    const alone = await run('orphans', 'destroy', second, '--yes', '--id-again', second);
    expect(alone).toEqual({ exitCode: 0, output: `${second} is destroyed.\n` });
    expect([first, second, foreign].map((id) => existsSync(folderOf(id)))).toEqual([false, false, true]);
    const kept = JSON.parse((await run('orphans', 'list', '--json')).output) as {
      instances: { id: string; gone_at: string | null }[];
    };
    expect(
      kept.instances
        .filter(({ gone_at }) => gone_at !== null)
        .map(({ id }) => id)
        .sort(),
    ).toEqual([first, second].sort());
  });
});
