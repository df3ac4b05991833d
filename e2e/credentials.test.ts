/** A new password by the API and by the provider's command, with real processes: sealed, opened, and logged in with. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { boxKeyOf, openBox } from '@dc/shared/crypto/sealed-box';
import type { WireContract, WireCredentials } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { ApiClient } from './api-client.ts';
import { waitFor } from './rent-once.ts';
import { makeSshIdentity, sshRunByPassword } from './ssh-login.ts';
import { startTestSystem, temporaryFolder, type SystemUnderTest } from './testing/system-under-test.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');
const SEED = new Uint8Array(createHash('sha256').update('a renter').digest());

async function rent(system: SystemUnderTest): Promise<{ client: ApiClient; contract: WireContract }> {
  const client = new ApiClient(system.url, SEED);
  const identity = await makeSshIdentity(temporaryFolder());
  await client.post('/api/v1/accounts', { public_key: client.key.publicKey });
  const { items } = await client.get<{ items: WireOffering[] }>('/api/v1/offerings?in_stock=true');
  const { id } = await client.post<WireContract>('/api/v1/contracts', {
    offering_id: items[0]?.id,
    duration_hours: 1,
    ssh_public_key: identity.publicKey,
    payment_method: 'test',
  });
  return { client, contract: await waitFor(client, id, ({ state }) => state === 'active') };
}

/** Waits for a password that was made after `before`, and opens it. */
async function nextPassword(client: ApiClient, { id }: WireContract, before: string | null): Promise<string> {
  await waitFor(client, id, ({ credentials }) => (credentials?.password_made_at ?? null) !== before);
  const { boxes } = await client.get<WireCredentials>(`/api/v1/contracts/${id}/credentials`);
  expect(boxes.map(({ public_key }) => public_key)).toEqual([client.key.publicKey]);
  return openBox(boxes[0]!, await boxKeyOf(SEED), id);
}

describe('A new password', () => {
  it('is the renter’s alone, whether the renter or the provider asks for it', async () => {
    const system = await startTestSystem();
    const { client, contract } = await rent(system);
    const access = contract.access!;
    await client.post(`/api/v1/contracts/${contract.id}/reset-password`, {});
    const first = await nextPassword(client, contract, null);
    const login = { access, password: first };
    expect(await sshRunByPassword(temporaryFolder(), login, 'echo in')).toBe('in\n');

    const { credentials } = await client.get<WireContract>(`/api/v1/contracts/${contract.id}`);
    const config = join(system.dataDir, 'agent', 'dc-agent.toml');
    const args = ['agent/src/main.ts', 'reset-password', '--contract-id', contract.id, '--config', config];
    const { stdout, stderr } = await run(process.execPath, args, { cwd: ROOT, timeout: 60_000 });
    const output = stdout + stderr;
    expect(output).toContain('Only the renter can read it');
    const second = await nextPassword(client, contract, credentials!.password_made_at);
    expect(second).not.toBe(first);
    expect(output).not.toContain(second);
    const again = { access, password: second };
    expect(await sshRunByPassword(temporaryFolder(), again, 'echo in again')).toBe('in again\n');
    await expect(sshRunByPassword(temporaryFolder(), login, 'echo no')).rejects.toThrow('Permission denied');
    const { timeline } = await client.get<WireContract>(`/api/v1/contracts/${contract.id}`);
    expect(timeline.map(({ reason }) => reason).filter((reason) => reason.includes('password'))).toHaveLength(
      4,
    );
    for (const program of ['agent', 'coordinator']) {
      const log = readFileSync(join(system.dataDir, `${program}.log`), 'utf8');
      for (const password of [first, second]) expect(log).not.toContain(password);
    }
  });

  it('survives kill -9 of the agent in the middle of it: what is delivered is what opens', async () => {
    const system = await startTestSystem();
    const { client, contract } = await rent(system);
    let before: string | null = null;
    for (const delayMs of [0, 40, 120]) {
      await client.post(`/api/v1/contracts/${contract.id}/reset-password`, {});
      await delay(delayMs);
      await system.agent.kill();
      system.agent.start();
      const password = await nextPassword(client, contract, before);
      const now = await client.get<WireContract>(`/api/v1/contracts/${contract.id}`);
      before = now.credentials!.password_made_at;
      const login = { access: now.access!, password };
      // The instance is a part of the agent here: it is back when the agent is.
      await expect
        .poll(() => sshRunByPassword(temporaryFolder(), login, 'echo in').catch(String), { timeout: 20_000 })
        .toBe('in\n');
    }
  }, 180_000);
});
