/** `npm start -- --qemu`: a real machine, a login by the system's ssh, and a password that its renter has changed. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { boxKeyOf, openBox } from '@dc/shared/crypto/sealed-box';
import type { WireContract, WireCredentials } from '@dc/shared/wire/contract';
import type { WireOffering } from '@dc/shared/wire/offering';
import { IMAGE_BUILD_MS_MAX } from '../agent/src/pve-sim/testing/qemu-fixture.ts';
import { ApiClient } from './api-client.ts';
import { waitFor } from './rent-once.ts';
import { makeSshIdentity, sshRun, sshRunByPassword } from './ssh-login.ts';
import { startTestSystem, temporaryFolder } from './testing/system-under-test.ts';

const SEED = new Uint8Array(createHash('sha256').update('a renter of a real machine').digest());

it(
  'a real machine is rented, logged in to, given a new password, and gone',
  { timeout: IMAGE_BUILD_MS_MAX },
  async () => {
    const system = await startTestSystem({ proxmox: 'qemu' });
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
    const contract = await waitFor(client, id, ({ state }) => state === 'active', 120_000);
    const access = contract.access!;
    // A kernel of its own: this is no shell on the machine around it.
    expect(await sshRun(identity, access, 'cat /proc/cmdline; id -un')).toMatch(
      /console=ttyS0[^]*\nrenter\n$/,
    );

    await client.post(`/api/v1/contracts/${id}/reset-password`, {});
    await waitFor(client, id, ({ credentials }) => (credentials?.password_made_at ?? null) !== null, 120_000);
    const { boxes } = await client.get<WireCredentials>(`/api/v1/contracts/${id}/credentials`);
    const password = await openBox(boxes[0]!, await boxKeyOf(SEED), id);
    const login = { access, password };
    expect(await sshRunByPassword(temporaryFolder(), login, 'hostname')).toBe(
      await sshRun(identity, access, 'hostname'),
    );
    const wrong = { access, password: `${password}x` };
    await expect(sshRunByPassword(temporaryFolder(), wrong, 'true')).rejects.toThrow('Permission denied');

    await client.post(`/api/v1/contracts/${id}/cancel`, {});
    await waitFor(client, id, ({ release }) => release === 'released', 120_000);
    await expect(sshRun(identity, access, 'true')).rejects.toThrow(/refused|timed out/i);
  },
);
