/**
 * The coordinator's data and keys through what happens to them in years, with real processes: an older backup is
 * restored under a running agent, and the key is replaced.
 */
import { execFile } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from './api-client.ts';
import { waitFor } from './rent-once.ts';
import { makeSshIdentity, sshRun, type SshIdentity } from './ssh-login.ts';
import {
  instancesOnDisk,
  startTestSystem,
  temporaryFolder,
  type SystemUnderTest,
} from './testing/system-under-test.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');

/** Agents that speak every second: what they know is heard sooner. */
const TALKATIVE =
  '[agents]\nheartbeat_interval_s = 1\nlease_ttl_s = 15\n\n[rate_limits]\nper_key = 3000\nper_address = 3000\n';

/** What a command prints, whatever its exit code. */
async function print(program: 'coordinator' | 'agent', ...args: string[]): Promise<string> {
  const command = [join(ROOT, program, 'src', 'main.ts'), ...args];
  return run(process.execPath, command).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error as { stdout: string }).stdout,
  );
}

const admin = (system: SystemUnderTest, ...args: string[]): Promise<string> =>
  print('coordinator', 'admin', ...args, '--config', join(system.dataDir, 'coordinator.toml'));

interface Renter {
  client: ApiClient;
  identity: SshIdentity;
}

async function newRenter(system: SystemUnderTest): Promise<Renter> {
  const client = new ApiClient(system.url);
  await client.post('/api/v1/accounts', { public_key: client.key.publicKey });
  return { client, identity: await makeSshIdentity(temporaryFolder()) };
}

async function order({ client, identity }: Renter): Promise<WireContract> {
  const { items } = await client.get<{ items: WireOffering[] }>('/api/v1/offerings');
  return client.post<WireContract>('/api/v1/contracts', {
    offering_id: items[0]?.id,
    duration_hours: 1,
    ssh_public_key: identity.publicKey,
    payment_method: 'test',
  });
}

async function rent(renter: Renter): Promise<WireContract> {
  const { id } = await order(renter);
  return waitFor(renter.client, id, ({ state }) => state === 'active');
}

const ready = async ({ url }: SystemUnderTest): Promise<object> =>
  (await (await fetch(`${url}/health/ready`)).json()) as object;

describe('An older backup of the coordinator’s database', () => {
  it('destroys nothing when it is restored, and is brought up to date by what the agent knows', async () => {
    const system = await startTestSystem({ coordinatorToml: TALKATIVE });
    const renter = await newRenter(system);
    const early = await rent(renter);
    const database = join(system.dataDir, 'coordinator.sqlite');
    await system.coordinator.stop();
    copyFileSync(database, `${database}.backup`);
    system.coordinator.start();
    await system.untilReady();
    const late = await rent(renter);
    await renter.client.post(`/api/v1/contracts/${early.id}/cancel`, {});
    const ended = await waitFor(renter.client, early.id, ({ release }) => release === 'released');
    expect(instancesOnDisk(system.dataDir)).toHaveLength(1);

    await system.coordinator.stop();
    for (const more of ['', '-wal', '-shm']) rmSync(`${database}${more}`, { force: true });
    copyFileSync(`${database}.backup`, database);
    system.coordinator.start();
    await expect.poll(() => ready(system).catch(() => null), { timeout: 40_000 }).toHaveProperty('safe_mode');
    expect((await renter.client.get<WireContract>(`/api/v1/contracts/${early.id}`)).state).toBe('active');
    await expect(order(renter)).rejects.toMatchObject({
      status: 503,
      problem: { code: 'COORDINATOR_SAFE_MODE' },
    });
    await expect
      .poll(() => admin(system, 'safe-mode', 'status'), { timeout: 40_000, interval: 1_000 })
      .toContain(`contract ${late.id}: unknown here`);
    expect(await sshRun(renter.identity, late.access!, 'echo it works')).toBe('it works\n');

    expect(await admin(system, 'safe-mode', 'resolve')).toContain(`contract ${late.id} stays unknown`);
    expect(await ready(system)).toEqual({ status: 'ready' });
    const again = await waitFor(renter.client, early.id, ({ release }) => release === 'released');
    expect(again).toMatchObject({ state: 'cancelled', refunded: ended.refunded });
    const next = await rent(renter);
    for (const { access } of [late, next])
      expect(await sshRun(renter.identity, access!, 'echo it works')).toBe('it works\n');
    expect(await admin(system, 'ledger', 'verify')).toContain('The ledger adds up');
  }, 180_000);
});

describe('The coordinator’s key', () => {
  it('is replaced while everything runs, and evidence can be checked with either', async () => {
    const system = await startTestSystem({ coordinatorToml: TALKATIVE });
    const renter = await newRenter(system);
    await rent(renter);
    const before = await renter.client.get<{ coordinator_key: string }>('/api/v1/coordinator');
    const said = await admin(system, 'key', 'rotate', '--start-in', '0', '--overlap', '0.001');
    expect(said).toContain(`${before.coordinator_key} → `);
    await expect
      .poll(() => admin(system, 'key', 'retire'), { timeout: 30_000, interval: 1_000 })
      .toContain(`deleted the file of ${before.coordinator_key}`);
    const after = await renter.client.get<{ coordinator_key: string }>('/api/v1/coordinator');
    expect(after.coordinator_key).not.toBe(before.coordinator_key);
    await rent(renter);
    const config = join(system.dataDir, 'agent', 'dc-agent.toml');
    const status = await print('agent', 'status', '--config', config);
    expect(status).toContain(`key ${before.coordinator_key}, pinned by the configuration; counts no more`);
    expect(status).toMatch(new RegExp(`key ${after.coordinator_key}, pinned \\d{4}`));

    await system.agent.stop();
    await system.coordinator.stop();
    system.coordinator.start();
    system.agent.start();
    await system.untilReady();
    await rent(renter);
    const evidence = await fetch(`${system.url}/api/v1/providers/${system.providerKey}/evidence`);
    const file = join(temporaryFolder(), 'evidence.jsonl');
    writeFileSync(file, await evidence.text());
    for (const key of [before.coordinator_key, after.coordinator_key])
      expect(await print('agent', 'verify-evidence', file, '--coordinator-key', key)).toMatch(/^Valid: /);
    expect(await print('agent', 'verify-evidence', file, '--coordinator-key', 'a'.repeat(64))).not.toContain(
      'Valid',
    );
  }, 120_000);
});
