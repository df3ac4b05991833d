/** A market of one offering, and what its people do there: a renter who rents, an agent that serves. */
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { ContractState } from '@dc/shared/state/contract';
import type { WireLease } from '@dc/shared/wire/agent';
import type { WireContract, WireCreateContract } from '@dc/shared/wire/contract';
import type { WireCreateOffering, WireOffering } from '@dc/shared/wire/offering';
import { verifyLedger } from '../payments/ledger-verify.ts';
import { undocumentedSets } from '../invoices/testing/undocumented.ts';
import { moneyOfContract } from '../payments/ledger-store.ts';
import { AgentPlayer } from './agent-player.ts';
import { expectStatus, makeAccount, makeAgent, makeOffering, makePool } from './people.ts';
import type { Answer, CallOptions } from './test-client.ts';
import { startTestCoordinator, until, type TestCoordinator } from './test-coordinator.ts';

export const HOUR_MS = 3_600_000;

/** An `ssh-ed25519` line; another one for another name. */
export function sshKeyOf(name: string): string {
  const field = (bytes: Buffer) =>
    Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]).toString('latin1');
  const point = createHash('sha256').update(`ssh key ${name}`).digest();
  const blob = Buffer.from(field(Buffer.from('ssh-ed25519')) + field(point), 'latin1');
  return `ssh-ed25519 ${blob.toString('base64')}`;
}

/** What a `provisioned` record says of an instance that the coordinator may not look at itself. */
export const atPrivateAddress = {
  access: { host: '10.1.2.3', port: 2222, user: 'root', host_key: sshKeyOf('instance') },
};

export interface Market {
  coordinator: TestCoordinator;
  provider: { key: SigningKey; poolId: string };
  offering: WireOffering;
  renter: SigningKey;
  /** Online. */
  agent: AgentPlayer;
}

/** How a market is unless a test says otherwise: one provider that accepts at once, 10 places at 0.01 USD an hour. */
export interface MarketOptions {
  coordinator?: TestCoordinator;
  offering?: Partial<WireCreateOffering>;
  autoAccept?: boolean;
}

export async function openMarket(options: MarketOptions = {}): Promise<Market> {
  const coordinator = options.coordinator ?? (await startTestCoordinator());
  const key = await makeAccount(coordinator, 'prov');
  const body = { name: 'prov', auto_accept: options.autoAccept ?? true };
  expectStatus(await coordinator.client.post('/providers', body, { key }), 201);
  const provider = { key, poolId: await makePool(coordinator, key) };
  const offering = await makeOffering(coordinator, provider, options.offering);
  const agent = new AgentPlayer(coordinator, await makeAgent(coordinator, provider));
  await agent.beat();
  return { coordinator, provider, offering, renter: await makeAccount(coordinator, 'renter'), agent };
}

/** Another agent of the market's pool, or of the provider given. Online. */
export async function addAgent(
  { coordinator, provider }: Pick<Market, 'coordinator' | 'provider'>,
  name: string,
): Promise<AgentPlayer> {
  const agent = new AgentPlayer(coordinator, await makeAgent(coordinator, provider, { name }));
  await agent.beat();
  return agent;
}

/** Asks for a contract; `change` to what a request says otherwise. */
export function tryToRent(
  { coordinator, offering, renter }: Pick<Market, 'coordinator' | 'offering' | 'renter'>,
  change: Partial<WireCreateContract> = {},
  options: CallOptions = {},
): Promise<Answer<WireContract>> {
  const body = {
    offering_id: offering.id,
    duration_hours: 10,
    ssh_public_key: sshKeyOf('renter'),
    payment_method: 'test',
    ...change,
  };
  return coordinator.client.post<WireContract>('/contracts', body, { key: renter, ...options });
}

export async function rent(market: Market, change: Partial<WireCreateContract> = {}): Promise<WireContract> {
  return expectStatus(await tryToRent(market, change), 201);
}

/** The contract as its renter sees it. */
export async function look({ coordinator, renter }: Market, id: string): Promise<WireContract> {
  return expectStatus(await coordinator.client.get<WireContract>(`/contracts/${id}`, { key: renter }), 200);
}

export function cancel({ coordinator, renter }: Market, id: string): Promise<Answer<WireContract>> {
  return coordinator.client.post<WireContract>(`/contracts/${id}/cancel`, {}, { key: renter });
}

/** Waits, without letting virtual time pass, until the contract is as `isSo` says. */
export async function contractBecomes(
  market: Market,
  id: string,
  isSo: (contract: WireContract) => boolean,
): Promise<WireContract> {
  let contract = await look(market, id);
  await until(async () => isSo((contract = await look(market, id))), `what contract ${id} waits for`);
  return contract;
}

export function reaches(market: Market, id: string, state: ContractState): Promise<WireContract> {
  return contractBecomes(market, id, (contract) => contract.state === state);
}

/** Lets wall-clock time pass in one step, and the jobs look at what has fallen due. */
export async function pass(coordinator: TestCoordinator, ms: number): Promise<void> {
  coordinator.clock.jump(ms);
  await coordinator.clock.advance(1000);
}

/** A contract that an agent has leased. */
export async function rentAndLease(market: Market): Promise<{ id: string; lease: WireLease }> {
  const { id } = await rent(market);
  return { id, lease: await market.agent.leaseOne() };
}

/** A contract that is active, by the agent's word. */
export async function rentUntilActive(market: Market): Promise<WireContract> {
  const { id, lease } = await rentAndLease(market);
  await market.agent.report('provisioned', id, { epoch: lease.epoch, data: atPrivateAddress });
  return reaches(market, id, 'active');
}

/** Leases the destroy order of a contract that has ended, and reports that its instance is gone. */
export async function destroyInstance(market: Market, id: string): Promise<void> {
  const lease = await market.agent.leaseOne();
  expect(lease).toMatchObject({ kind: 'destroy', contract_id: id });
  expect(await market.agent.report('destroyed', id, { epoch: lease.epoch })).toMatchObject({
    outcome: 'applied',
  });
}

/** How many places of the market's offering are taken. */
export async function placesTaken({ coordinator, offering }: Market): Promise<number> {
  const row = await coordinator.context.db.read
    .selectFrom('offerings')
    .select('places_taken')
    .where('id', '=', offering.id)
    .executeTakeFirstOrThrow();
  return row.places_taken;
}

/** Where the money of a contract is, in nano-units. */
export async function moneyOf({ coordinator }: Pick<Market, 'coordinator'>, id: string) {
  const money = await moneyOfContract(coordinator.context.db.read, id, 'USD');
  return {
    paid: money.paid.amountE9s,
    released: money.released.amountE9s,
    refunded: money.refunded.amountE9s,
    refundDue: money.refundDue.amountE9s,
    escrow: money.escrow.amountE9s,
  };
}

/**
 * What a contract that has ended did with its money, after its refund has arrived. Checks that not a unit is missing
 * and that the whole ledger adds up.
 */
export async function settledMoney(market: Market, id: string) {
  await until(async () => (await moneyOf(market, id)).refundDue === 0n, 'the refund');
  const money = await moneyOf(market, id);
  expect(money.released + money.refunded).toBe(money.paid);
  expect(money.escrow).toBe(0n);
  const { db, config } = market.coordinator.context;
  expect((await verifyLedger(db, config.earning.proofMs)).firstProblem).toBeNull();
  expect(await undocumentedSets(db.read)).toEqual([]);
  return { paid: money.paid, released: money.released, refunded: money.refunded };
}
