/** A provider's meter hands in what was used, with real processes: the agent's command, its key, the coordinator. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import type { WireUsage } from '@dc/shared/wire/usage';
import { ApiClient } from './api-client.ts';
import { waitFor } from './rent-once.ts';
import { makeSshIdentity } from './ssh-login.ts';
import { startTestSystem, temporaryFolder } from './testing/system-under-test.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');
const SEED = new Uint8Array(createHash('sha256').update('a renter who uses').digest());

it('dc-agent report-usage hands in what was used, each event once, and names what is refused', async () => {
  const system = await startTestSystem();
  const client = new ApiClient(system.url, SEED);
  const folder = temporaryFolder();
  const identity = await makeSshIdentity(folder);
  await client.post('/api/v1/accounts', { public_key: client.key.publicKey });
  const { items } = await client.get<{ items: WireOffering[] }>('/api/v1/offerings?in_stock=true');
  const { id } = await client.post<WireContract>('/api/v1/contracts', {
    offering_id: items[0]?.id,
    duration_hours: 1,
    ssh_public_key: identity.publicKey,
    payment_method: 'test',
  });
  const { active_at: activeAt } = await waitFor(client, id, ({ state }) => state === 'active');

  const file = join(folder, 'events.jsonl');
  const config = join(system.dataDir, 'agent', 'dc-agent.toml');
  const report = (...more: string[]) =>
    run(process.execPath, ['agent/src/main.ts', 'report-usage', file, '--config', config, ...more], {
      cwd: ROOT,
      timeout: 60_000,
    });
  const counted = { id: 'first', kind: 'counter', at: activeAt, units_e9s: '2500000000' };
  writeFileSync(file, `${JSON.stringify(counted)}\n\n${JSON.stringify({ ...counted, id: 'second' })}\n`);
  expect((await report('--contract-id', id)).stdout).toContain('Recorded 2, known before 0.');
  expect((await report('--contract-id', id)).stdout).toContain('Recorded 0, known before 2.');
  const usage = await client.get<WireUsage>(`/api/v1/contracts/${id}/usage`);
  expect(usage).toMatchObject({ events: 2, period: { counted_units_e9s: '5000000000' } });

  writeFileSync(file, JSON.stringify({ ...counted, units_e9s: '1' }));
  await expect(report('--contract-id', id)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Refused first: USAGE_EVENT_CONFLICT') as unknown,
  });
  writeFileSync(file, 'not json\n');
  await expect(report('--contract-id', id)).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Line 1 of') as unknown,
  });
  await expect(report()).rejects.toMatchObject({ code: 2 });
});
