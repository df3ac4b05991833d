import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { boxKeyOf, openBox } from '@dc/shared/crypto/sealed-box';
import { sealBox } from '@dc/shared/crypto/seal-box';
import { parseJws } from '@dc/shared/crypto/jws';
import type { OrderPayload, ResetPasswordSpec } from '@dc/shared/orders/order';
import { addKeyText } from '@dc/shared/wire/account';
import type { WireLease } from '@dc/shared/wire/agent';
import type { WireContract, WireCredentials } from '@dc/shared/wire/contract';
import { pruneExpired } from '../jobs/housekeeping.ts';
import { systemRandom } from '../lib/system-random.ts';
import { dumpDatabase } from '../testing/dump-database.ts';
import { addAgent, HOUR_MS, look, openMarket, pass, rentUntilActive, sshKeyOf } from '../testing/rental.ts';
import { expectStatus, keyOf, makeAccount } from '../testing/people.ts';

const PASSWORD = 'correct-horse-battery-staple';
const DAY_MS = 24 * HOUR_MS;

const seedOf = (name: string) => new Uint8Array(createHash('sha256').update(`test key ${name}`).digest());
const specOf = (lease: WireLease) => (parseJws(lease.order)!.payload as OrderPayload).spec;

async function rented() {
  const market = await openMarket();
  const { id } = await rentUntilActive(market);
  const { client } = market.coordinator;
  const post = (path: string, body: unknown = {}, key = market.renter, idempotencyKey?: string) =>
    client.post<WireContract & { code: string; remedy: string }>(`/contracts/${id}/${path}`, body, {
      key,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    });
  const credentials = (key = market.renter) =>
    client.get<WireCredentials & { code: string; remedy: string }>(`/contracts/${id}/credentials`, { key });
  return { market, id, post, credentials };
}

/** What an agent reports of a password that it made for this order. */
async function madePassword(lease: WireLease, password = PASSWORD) {
  const { seal_to } = specOf(lease) as ResetPasswordSpec;
  const contractId = lease.contract_id;
  const boxes = await Promise.all(
    seal_to.map((publicKey) => sealBox(password, { publicKey, contractId }, systemRandom)),
  );
  return { user: 'root', proof: 'login', boxes };
}

describe('Resetting the password', () => {
  it('orders it from the agent, and gives the renter a box that only the renter can open', async () => {
    const { market, id, post, credentials } = await rented();
    expect(await credentials()).toMatchObject({ status: 404, body: { code: 'CREDENTIALS_NOT_FOUND' } });
    const asked = expectStatus(await post('reset-password'), 200);
    expect(asked.credentials).toMatchObject({ pending: { kind: 'reset_password' }, password_made_at: null });
    expect((await credentials()).body).toMatchObject({
      code: 'CREDENTIALS_NOT_FOUND',
      detail: 'The password is still being made.',
    });
    const lease = await market.agent.leaseOne();
    expect(lease).toMatchObject({ kind: 'reset_password', contract_id: id });
    expect(specOf(lease)).toEqual({ seal_to: [market.renter.publicKey] });
    const data = await madePassword(lease);
    expect(await market.agent.report('password_reset', id, { epoch: lease.epoch, data })).toMatchObject({
      outcome: 'applied',
    });
    const answer = expectStatus(await credentials(), 200);
    expect(answer).toMatchObject({ contract_id: id, user: 'root', proof: 'login' });
    expect(Date.parse(answer.expires_at) - Date.parse(answer.made_at)).toBe(7 * DAY_MS);
    const [box] = answer.boxes;
    expect(box!.public_key).toBe(market.renter.publicKey);
    const key = await boxKeyOf(seedOf('renter'));
    expect(await openBox(box!, key, id)).toBe(PASSWORD);
    await expect(openBox(box!, key, lease.order_id)).rejects.toThrow();
    const after = await look(market, id);
    expect(after.credentials).toMatchObject({ pending: null, password_until: answer.expires_at });
    expect(after.timeline.slice(-2)).toMatchObject([
      { from: 'active', to: 'active', actor: 'renter', reason: 'A new password was asked for.' },
      { from: 'active', to: 'active', reason: 'A new password was made.' },
    ]);
    expect(after.stages).toEqual(asked.stages);
    expect(await market.agent.lease()).toEqual([]);
  });

  it('never brings the password to the coordinator: not into its database, not into its log', async () => {
    const { market, id, post } = await rented();
    await post('reset-password');
    const lease = await market.agent.leaseOne();
    await market.agent.report('password_reset', id, { epoch: lease.epoch, data: await madePassword(lease) });
    const { context, logged } = market.coordinator;
    const everything = JSON.stringify([await dumpDatabase(context.db.read), logged]);
    for (const form of [
      PASSWORD,
      Buffer.from(PASSWORD).toString('base64url'),
      Buffer.from(PASSWORD).toString('hex'),
    ])
      expect(everything).not.toContain(form);
  });

  it('seals to every key of the account, and shows no box for a key that was removed since', async () => {
    const { market, id, post, credentials } = await rented();
    const { client } = market.coordinator;
    const second = keyOf('second key');
    const text = addKeyText(market.renter.publicKey, second.publicKey);
    const proof = second.sign(Buffer.from(text)).toString('hex');
    const added = { public_key: second.publicKey, proof };
    expectStatus(await client.post('/accounts/me/keys', added, { key: market.renter }), 201);
    await post('reset-password');
    const lease = await market.agent.leaseOne();
    const { seal_to } = specOf(lease) as ResetPasswordSpec;
    expect(seal_to.toSorted()).toEqual([market.renter.publicKey, second.publicKey].toSorted());
    await market.agent.report('password_reset', id, { epoch: lease.epoch, data: await madePassword(lease) });
    const { boxes } = expectStatus(await credentials(second), 200);
    const key = await boxKeyOf(seedOf('second key'));
    const own = boxes.find(({ public_key }) => public_key === second.publicKey)!;
    expect(await openBox(own, key, id)).toBe(PASSWORD);
    expectStatus(await client.delete(`/accounts/me/keys/${second.publicKey}`, { key: market.renter }), 204);
    const left = expectStatus(await credentials(), 200).boxes;
    expect(left.map(({ public_key }) => public_key)).toEqual([market.renter.publicKey]);
  });

  it('keeps the boxes for seven days; then they are gone, and the answer says what to do', async () => {
    const { market, id, post, credentials } = await rented();
    await post('reset-password');
    const lease = await market.agent.leaseOne();
    await market.agent.report('password_reset', id, { epoch: lease.epoch, data: await madePassword(lease) });
    const { context } = market.coordinator;
    await pass(market.coordinator, 7 * DAY_MS - 2000);
    expect((await credentials()).status).toBe(200);
    await pass(market.coordinator, 1);
    expect(await credentials()).toMatchObject({
      status: 410,
      body: { code: 'CREDENTIALS_EXPIRED', remedy: expect.stringContaining('reset-password') as string },
    });
    await pruneExpired(context, new AbortController().signal);
    const rows = await context.db.read.selectFrom('credential_changes').select('boxes').execute();
    expect(rows).toEqual([{ boxes: null }]);
  });

  it('gives the box of the newest one only', async () => {
    const { market, id, post, credentials } = await rented();
    for (const password of ['the first password', 'the second password']) {
      expectStatus(await post('reset-password'), 200);
      const lease = await market.agent.leaseOne();
      const data = await madePassword(lease, password);
      await market.agent.report('password_reset', id, { epoch: lease.epoch, data });
      await market.coordinator.clock.advance(1000);
    }
    const { boxes } = expectStatus(await credentials(), 200);
    const key = await boxKeyOf(seedOf('renter'));
    expect(await openBox(boxes[0]!, key, id)).toBe('the second password');
  });

  it('is one at a time, and the same request twice is one', async () => {
    const { market, post } = await rented();
    const first = await post('reset-password', {}, market.renter, 'once');
    expect((await post('reset-password', {}, market.renter, 'once')).text).toBe(first.text);
    expect(await post('reset-password')).toMatchObject({
      status: 409,
      body: { code: 'CREDENTIALS_PENDING' },
    });
    expect(await post('rotate-ssh-key', { ssh_public_key: sshKeyOf('new') })).toMatchObject({
      status: 409,
      body: { code: 'CREDENTIALS_PENDING' },
    });
    expect(await market.agent.lease()).toHaveLength(1);
  });

  it('is listed for the provider while it waits', async () => {
    const { market, id, post } = await rented();
    await post('reset-password');
    const path = `/providers/${market.provider.key.publicKey}/contracts/pending-password-reset`;
    const answer = await market.coordinator.client.get(path, { key: market.provider.key });
    expect(answer.body).toMatchObject({ items: [{ contract_id: id, kind: 'reset_password' }] });
  });

  it('may be asked for by the provider and by its agent, who cannot read it; by nobody else', async () => {
    const { market, id, post, credentials } = await rented();
    const stranger = await makeAccount(market.coordinator, 'stranger');
    const otherAgent = await addAgent(market, 'other agent');
    expect((await post('reset-password', {}, stranger)).status).toBe(404);
    expect((await post('reset-password', {}, otherAgent.key)).status).toBe(403);
    expect((await post('reset-password', { to: 'me' })).status).toBe(400);
    expectStatus(await post('reset-password', {}, market.agent.key), 200);
    const lease = await market.agent.leaseOne();
    await market.agent.report('password_reset', id, { epoch: lease.epoch, data: await madePassword(lease) });
    expectStatus(await post('reset-password', {}, market.provider.key), 200);
    expect((await look(market, id)).timeline.at(-1)).toMatchObject({ actor: 'provider' });
    expect((await credentials(market.provider.key)).status).toBe(403);
    expect((await credentials(stranger)).status).toBe(404);
    expect((await credentials(market.agent.key)).status).toBe(403);
    expect(
      (await post('rotate-ssh-key', { ssh_public_key: sshKeyOf('new') }, market.provider.key)).status,
    ).toBe(403);
  });

  it('says what was in the way where the agent cannot do it, and can be asked for again', async () => {
    const { market, id, post } = await rented();
    await post('reset-password');
    const lease = await market.agent.leaseOne();
    const data = {
      order_kind: 'reset_password',
      code: 'CREDENTIALS_UNPROVED',
      detail: 'The instance refuses the new password.',
      remedy: 'ignored',
    };
    expect(await market.agent.report('failed', id, { epoch: lease.epoch, data })).toMatchObject({
      outcome: 'applied',
    });
    const after = await look(market, id);
    expect(after).toMatchObject({
      state: 'active',
      credentials: { pending: null },
      last_error: { code: 'CREDENTIALS_UNPROVED', detail: 'The instance refuses the new password.' },
    });
    expect(after.last_error!.remedy).not.toBe('ignored');
    expect(expectStatus(await post('reset-password'), 200).last_error).toBeNull();
  });

  it('leaves the password before it in doubt where it failed: it may have been set', async () => {
    const { market, id, post } = await rented();
    await post('reset-password');
    const first = await market.agent.leaseOne();
    await market.agent.report('password_reset', id, { epoch: first.epoch, data: await madePassword(first) });
    expect((await look(market, id)).credentials).toMatchObject({ password_in_doubt: false });
    expect(expectStatus(await post('reset-password'), 200).credentials!.password_in_doubt).toBe(false);
    const second = await market.agent.leaseOne();
    const data = {
      order_kind: 'reset_password',
      code: 'INSTANCE_UNREACHABLE',
      detail: 'It does not answer.',
    };
    await market.agent.report('failed', id, { epoch: second.epoch, data });
    expect((await look(market, id)).credentials).toMatchObject({ password_in_doubt: true });
    await market.coordinator.clock.advance(1000);
    await post('reset-password');
    const third = await market.agent.leaseOne();
    await market.agent.report('password_reset', id, { epoch: third.epoch, data: await madePassword(third) });
    expect((await look(market, id)).credentials).toMatchObject({ password_in_doubt: false });
  });

  it('ends where the agent hands the order back as nothing that it can do', async () => {
    const { market, id, post } = await rented();
    await post('reset-password');
    const lease = await market.agent.leaseOne();
    await market.agent.giveBack(lease, false, 'unsupported');
    expect(await look(market, id)).toMatchObject({
      credentials: { pending: null },
      last_error: { code: 'CREDENTIALS_UNSUPPORTED', remedy: expect.stringContaining('Log in') as string },
    });
    expect(await market.agent.lease()).toEqual([]);
  });

  it('waits where the backend does not answer just now', async () => {
    const { market, id, post } = await rented();
    await post('reset-password');
    await market.agent.giveBack(await market.agent.leaseOne(), false);
    expect((await look(market, id)).credentials!.pending).not.toBeNull();
    await market.coordinator.clock.advance(10_000);
    expect(await market.agent.leaseOne()).toMatchObject({ kind: 'reset_password' });
  });

  it.each([
    ['no boxes', { boxes: [] }],
    ['a box for nobody', { boxes: [{ enc: 'A'.repeat(43), ciphertext: 'B'.repeat(30) }, 7] }],
    ['a box that is none', { boxes: [{ enc: 'plain', ciphertext: 'text' }] }],
    ['a user who is a command', { user: 'x; rm -rf /' }],
    ['a proof of its own', { proof: 'trust me' }],
  ])('takes no report with %s, and says that it failed', async (_name, change) => {
    const { market, id, post, credentials } = await rented();
    await post('reset-password');
    const lease = await market.agent.leaseOne();
    const data = { ...(await madePassword(lease)), ...change };
    expect(await market.agent.report('password_reset', id, { epoch: lease.epoch, data })).toMatchObject({
      outcome: 'not_applied',
      code: 'RECORD_INVALID',
    });
    expect((await credentials()).status).toBe(404);
    expect((await look(market, id)).credentials!.pending).toBeNull();
  });

  it('changes nothing by a report under an old lease, or that nobody asked for', async () => {
    const { market, id, post, credentials } = await rented();
    const { agent, coordinator } = market;
    await post('reset-password');
    const old = await agent.leaseOne();
    await coordinator.clock.advance(coordinator.context.config.agents.leaseTtlMs + 1);
    const lease = await agent.leaseOne();
    const data = await madePassword(old);
    expect(await agent.report('password_reset', id, { epoch: old.epoch, data })).toMatchObject({
      outcome: 'not_applied',
      code: 'LEASE_STALE',
    });
    expect((await credentials()).status).toBe(404);
    await agent.report('password_reset', id, { epoch: lease.epoch, data });
    const { boxes } = (await credentials()).body;
    const another = await madePassword(lease, 'of nobody');
    expect(await agent.report('password_reset', id, { epoch: lease.epoch, data: another })).toMatchObject({
      outcome: 'already_applied',
    });
    expect((await credentials()).body.boxes).toEqual(boxes);
  });

  it('that comes after a pause is kept, and the pause is counted as one', async () => {
    const { market, id, post, credentials } = await rented();
    const { client, context } = market.coordinator;
    await context.db.write(async (trx) => {
      await trx.updateTable('accounts').set({ is_admin: 1 }).where('username', '=', 'prov').execute();
    });
    await post('reset-password');
    const lease = await market.agent.leaseOne();
    const admin = { key: market.provider.key };
    expectStatus(await client.post(`/admin/contracts/${id}/pause`, {}, admin), 200);
    const data = await madePassword(lease);
    expect(await market.agent.report('password_reset', id, { epoch: lease.epoch, data })).toMatchObject({
      outcome: 'applied',
    });
    expect((await credentials()).status).toBe(200);
    expectStatus(await client.post(`/admin/contracts/${id}/resume`, {}, admin), 200);
    expect(await post('reset-password')).toMatchObject({
      status: 409,
      body: { code: 'CONTRACT_STATE', detail: expect.stringContaining('just being started') as string },
    });
    const start = await market.agent.leaseOne();
    await market.agent.report('started', id, { epoch: start.epoch });
    expectStatus(await post('reset-password'), 200);
    const { timeline } = await look(market, id);
    expect(timeline.filter(({ to }) => to === 'paused')).toHaveLength(1);
  });

  it('replayed does not bring an old password back', async () => {
    const { market, id, post, credentials } = await rented();
    const records: string[] = [];
    for (const password of ['the first password', 'the second password']) {
      await post('reset-password');
      const lease = await market.agent.leaseOne();
      const words = { epoch: lease.epoch, data: await madePassword(lease, password) };
      records.push(market.agent.sign('password_reset', id, words));
      expectStatus(await market.agent.send(records.slice(-1)), 200);
    }
    const { results } = expectStatus(await market.agent.send(records.slice(0, 1)), 200);
    expect(results).toMatchObject([{ outcome: 'already_applied' }]);
    const { boxes } = expectStatus(await credentials(), 200);
    const key = await boxKeyOf(seedOf('renter'));
    expect(await openBox(boxes[0]!, key, id)).toBe('the second password');
  });

  it('is refused where there is nothing to log in to, saying why', async () => {
    const { market, id, post } = await rented();
    const { client, context } = market.coordinator;
    await context.db.write(async (trx) => {
      await trx.updateTable('accounts').set({ is_admin: 1 }).where('username', '=', 'prov').execute();
    });
    await post('reset-password');
    expectStatus(await client.post(`/admin/contracts/${id}/pause`, {}, { key: market.provider.key }), 200);
    expect((await look(market, id)).credentials!.pending).toBeNull();
    expect(await post('reset-password')).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
    expectStatus(await client.post(`/contracts/${id}/cancel`, {}, { key: market.renter }), 200);
    expect(await post('reset-password')).toMatchObject({ status: 409, body: { code: 'CONTRACT_STATE' } });
  });
});

describe('Changing the SSH key', () => {
  it('takes the new key only when the agent has put it in the place of the old one', async () => {
    const { market, id, post } = await rented();
    const next = sshKeyOf('new key');
    expectStatus(await post('rotate-ssh-key', { ssh_public_key: `  ${next} me@home\n` }), 200);
    const keyNow = async () =>
      (
        await market.coordinator.context.db.read
          .selectFrom('contracts')
          .select('ssh_public_key')
          .executeTakeFirstOrThrow()
      ).ssh_public_key;
    const before = await keyNow();
    const lease = await market.agent.leaseOne();
    expect(lease.kind).toBe('rotate_ssh_key');
    const spec = specOf(lease) as { ssh_public_key: string; replaces: string };
    expect(spec.replaces).toBe(before);
    expect(spec.ssh_public_key).toContain(next);
    expect(await market.agent.report('ssh_key_rotated', id, { epoch: lease.epoch })).toMatchObject({
      outcome: 'applied',
    });
    expect(await keyNow()).toBe(spec.ssh_public_key);
    expect((await look(market, id)).timeline.at(-1)!.reason).toContain('The SSH key was changed');
  });

  it('refuses what is no key, a private one, and the one that the contract has', async () => {
    const { market, post } = await rented();
    for (const ssh_public_key of ['', 'nonsense', '-----BEGIN OPENSSH PRIVATE KEY-----', sshKeyOf('renter')])
      expect(await post('rotate-ssh-key', { ssh_public_key })).toMatchObject({
        status: 400,
        body: { code: 'SSH_KEY_INVALID' },
      });
    expect(await market.agent.lease()).toEqual([]);
  });

  it('keeps the old key where the agent fails', async () => {
    const { market, id, post } = await rented();
    await post('rotate-ssh-key', { ssh_public_key: sshKeyOf('new key') });
    const lease = await market.agent.leaseOne();
    const data = {
      order_kind: 'rotate_ssh_key',
      code: 'INSTANCE_UNREACHABLE',
      detail: 'It does not answer.',
    };
    await market.agent.report('failed', id, { epoch: lease.epoch, data });
    expect((await look(market, id)).last_error).toMatchObject({ code: 'INSTANCE_UNREACHABLE' });
    expect(
      expectStatus(await post('rotate-ssh-key', { ssh_public_key: sshKeyOf('new key') }), 200).last_error,
    ).toBeNull();
  });
});
