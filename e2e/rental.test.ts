/** The whole way from rent to refund with real processes and the real ssh, and what a crash in the middle leaves. */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from './api-client.ts';
import { rentOnce, waitFor } from './rent-once.ts';
import { makeSshIdentity, sshRun, type SshIdentity } from './ssh-login.ts';
import {
  instancesOnDisk,
  startTestSystem,
  temporaryFolder,
  type SystemUnderTest,
} from './testing/system-under-test.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');

/** A renter with an account and an SSH key, who has paid for an hour. */
async function payForAnHour(system: SystemUnderTest): Promise<{
  client: ApiClient;
  contract: WireContract;
  identity: SshIdentity;
}> {
  const client = new ApiClient(system.url);
  const identity = await makeSshIdentity(temporaryFolder());
  await client.post('/api/v1/accounts', { public_key: client.key.publicKey });
  const { items } = await client.get<{ items: WireOffering[] }>('/api/v1/offerings?in_stock=true');
  const contract = await client.post<WireContract>('/api/v1/contracts', {
    offering_id: items[0]?.id,
    duration_hours: 1,
    ssh_public_key: identity.publicKey,
    payment_method: 'test',
  });
  return { client, contract, identity };
}

const isActive = (contract: WireContract): boolean => contract.state === 'active';

async function expectOneInstanceThatAnswers(
  system: SystemUnderTest,
  { client, contract, identity }: Awaited<ReturnType<typeof payForAnHour>>,
): Promise<WireContract> {
  const active = await waitFor(client, contract.id, isActive);
  expect(active.access).not.toBeNull();
  if (active.access === null) throw new Error('unreachable');
  expect(await sshRun(identity, active.access, 'echo it works')).toBe('it works\n');
  expect(instancesOnDisk(system.dataDir)).toHaveLength(1);
  return active;
}

describe('a rental', () => {
  it('goes from account to ssh to refund, and leaves nothing behind', async () => {
    const system = await startTestSystem();
    const report = await rentOnce(system.url);
    expect(report.command_output).toBe('hello from renter');
    expect(report.instance_gone).toBe(true);
    expect(report.released).toBe(true);
    expect(report.refunded).toMatch(/^0\.007\d+ USD$|^0\.008 USD$/);
    expect(report.coordinator_stages.map((stage) => stage.name)).toEqual([
      'payment',
      'queue',
      'provisioning',
      'verification',
    ]);
    expect(instancesOnDisk(system.dataDir)).toEqual([]);
  });

  it('is carried on with by the next start: same address, same host key, same home', async () => {
    const system = await startTestSystem();
    const rental = await payForAnHour(system);
    const before = await expectOneInstanceThatAnswers(system, rental);
    if (before.access === null) throw new Error('unreachable');
    await sshRun(rental.identity, before.access, 'echo kept > note');
    await system.agent.stop();
    await system.coordinator.stop();
    system.coordinator.start();
    system.agent.start();
    await system.untilReady();
    const after = await rental.client.get<WireContract>(`/api/v1/contracts/${rental.contract.id}`);
    expect(after.access).toEqual(before.access);
    expect(after.state).toBe('active');
    await expect
      .poll(() => sshRun(rental.identity, before.access!, 'cat note').catch(() => 'not yet'))
      .toBe('kept\n');
  });
});

describe('kill -9 in the middle of a rental', () => {
  it('of the agent: it is started again and delivers one instance', async () => {
    const system = await startTestSystem();
    const rental = await payForAnHour(system);
    await system.agent.kill();
    system.agent.start();
    await expectOneInstanceThatAnswers(system, rental);
  });

  it('of the agent that has not begun: the work waits for it', async () => {
    const system = await startTestSystem();
    await system.agent.kill();
    const rental = await payForAnHour(system);
    expect(rental.contract.state).toBe('accepted');
    system.agent.start();
    await expectOneInstanceThatAnswers(system, rental);
  });

  it('of the coordinator: it is started again and the rental completes with one instance', async () => {
    const system = await startTestSystem();
    const rental = await payForAnHour(system);
    await system.coordinator.kill();
    system.coordinator.start();
    await expectOneInstanceThatAnswers(system, rental);
  });

  it('of both, again and again, while several rentals are under way', async () => {
    const system = await startTestSystem();
    const rentals = [];
    for (let round = 0; round < 3; round += 1) {
      rentals.push(await payForAnHour(system));
      await Promise.all([system.agent.kill(), system.coordinator.kill()]);
      system.coordinator.start();
      system.agent.start();
      await system.untilReady();
    }
    for (const { client, contract } of rentals) await waitFor(client, contract.id, isActive);
    expect(instancesOnDisk(system.dataDir)).toHaveLength(3);
    for (const { client, contract } of rentals)
      await client.post(`/api/v1/contracts/${contract.id}/cancel`, {});
    for (const { client, contract } of rentals) {
      const ended = await waitFor(client, contract.id, ({ release }) => release === 'released');
      expect(ended.refunded).not.toBeNull();
    }
    expect(instancesOnDisk(system.dataDir)).toEqual([]);
  });
});

describe('the evidence of a rental', () => {
  it('verifies offline, and one flipped byte names its record', async () => {
    const system = await startTestSystem();
    await rentOnce(system.url);
    await rentOnce(system.url);
    const response = await fetch(`${system.url}/api/v1/providers/${system.providerKey}/evidence`);
    const file = join(system.dataDir, 'evidence.jsonl');
    const text = await response.text();
    writeFileSync(file, text);
    const verify = () => run(process.execPath, ['agent/src/main.ts', 'verify-evidence', file], { cwd: ROOT });
    expect((await verify()).stdout).toMatch(/4 records/);

    const lines = text.trimEnd().split('\n');
    const third = lines
      .map((line, index) => ({ line, index }))
      .filter(({ line }) => line.includes('"record"'))[2];
    if (third === undefined) throw new Error('there should be four records');
    const bytes = readFileSync(file);
    const offset = text.indexOf(third.line) + third.line.lastIndexOf('.') + 10;
    bytes[offset] = bytes[offset] === 65 ? 66 : 65;
    writeFileSync(file, bytes);
    await expect(verify()).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/record 3\b/) as string,
    });
  });
});
