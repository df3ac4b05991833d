/** A host that is set up again under a new key, with instances left there by the old one. */
import { describe, expect, it } from 'vitest';
import { parseJws } from '@dc/shared/crypto/jws';
import type { OrderPayload } from '@dc/shared/orders/order';
import type { WireLease } from '@dc/shared/wire/agent';
import { expectStatus } from '../testing/people.ts';
import {
  addAgent,
  atPrivateAddress,
  cancel,
  look,
  openMarket,
  reaches,
  rentAndLease,
  type Market,
} from '../testing/rental.ts';

const orderOf = ({ order }: WireLease): OrderPayload => parseJws(order)!.payload as OrderPayload;

/** A contract that the first agent delivered and that has ended; then its key is revoked, and another one comes. */
async function leftBehind({ backendId }: { backendId?: string } = {}) {
  const market = await openMarket();
  const { id, lease } = await rentAndLease(market);
  const data = { ...atPrivateAddress, ...(backendId === undefined ? {} : { backend_id: backendId }) };
  await market.agent.report('provisioned', id, { epoch: lease.epoch, data });
  await reaches(market, id, 'active');
  expectStatus(await cancel(market, id), 200);
  const successor = await addAgent(market, 'successor');
  expect(await successor.lease()).toEqual([]);
  await revoke(market);
  return { market, id, successor };
}

async function revoke({ coordinator, provider, agent }: Market): Promise<void> {
  const path = `/providers/${provider.key.publicKey}/agents/${agent.key.publicKey}`;
  expect((await coordinator.client.delete(path, { key: provider.key })).status).toBe(204);
}

describe('What a revoked agent left', () => {
  it('may be destroyed by another agent of its pool, whose order says who made it and where', async () => {
    const { market, id, successor } = await leftBehind({ backendId: 'cluster-1' });
    const lease = await successor.leaseOne();
    expect(orderOf(lease)).toMatchObject({
      kind: 'destroy',
      aud: successor.key.publicKey,
      tombstone: { contract_id: id },
      predecessor: { agent: market.agent.key.publicKey, backend_id: 'cluster-1' },
    });
    expect(
      await successor.report('destroyed', id, { epoch: lease.epoch, data: { handle_ids: ['vm-1'] } }),
    ).toMatchObject({
      outcome: 'applied',
    });
    expect((await look(market, id)).release).toBe('released');
  });

  it('is proved gone by a list of the backend that it was made on, and of no other one', async () => {
    const { market, id, successor } = await leftBehind({ backendId: 'cluster-1' });
    const { epoch } = await successor.leaseOne();
    const nothing = (backend_id?: string) => ({
      epoch,
      data: { handle_ids: [], never_existed: true, backend_id },
    });
    for (const elsewhere of [undefined, 'cluster-2'])
      expect(await successor.report('destroyed', id, nothing(elsewhere))).toMatchObject({
        outcome: 'not_applied',
        code: 'RECORD_UNPROVED',
      });
    expect((await look(market, id)).release).toBe('pending');
    expect(await successor.report('destroyed', id, nothing('cluster-1'))).toMatchObject({
      outcome: 'applied',
    });
    expect((await look(market, id)).release).toBe('released');
  });

  it('is not proved gone where nobody knows what it was made on', async () => {
    const { id, successor } = await leftBehind();
    const { epoch } = await successor.leaseOne();
    const data = { handle_ids: [], backend_id: 'cluster-1' };
    expect(await successor.report('destroyed', id, { epoch, data })).toMatchObject({
      code: 'RECORD_UNPROVED',
    });
  });

  it('goes to the next agent of the pool where one hands it back', async () => {
    const { market, successor } = await leftBehind({ backendId: 'cluster-1' });
    expect((await successor.giveBack(await successor.leaseOne(), false, 'unsupported')).status).toBe(204);
    const third = await addAgent(market, 'third');
    expect(orderOf(await third.leaseOne()).predecessor?.agent).toBe(market.agent.key.publicKey);
  });

  it('is nobody’s while its own agent may act, and nobody else’s report counts', async () => {
    const market = await openMarket();
    const { id, lease } = await rentAndLease(market);
    await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
    await reaches(market, id, 'active');
    const other = await addAgent(market, 'other');
    const data = { handle_ids: ['vm-1'] };
    expect(await other.report('destroyed', id, { data })).toMatchObject({ code: 'RECORD_FOREIGN' });
    expectStatus(await cancel(market, id), 200);
    expect(await other.lease()).toEqual([]);
    expect(await other.report('destroyed', id, { data })).toMatchObject({ code: 'RECORD_FOREIGN' });
    expect((await look(market, id)).release).toBe('pending');
  });
});
