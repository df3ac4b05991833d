/**
 * The load of the `records` benchmark, a process of its own: signs everything first, then sends it over keep-alive
 * connections, one an agent, each waiting for its answer before the next request.
 */
import { randomBytes } from 'node:crypto';
import { Client } from 'undici';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { hashJws } from '@dc/shared/crypto/jws';
import { signRecord } from '@dc/shared/evidence/record';
import { signRequest } from '@dc/shared/signing/sign-request';

/** Where one agent's chain stands, and what it reports about. */
export interface ChainEnd {
  seed: string;
  contractId: string;
  environment: string;
  seq: number;
  prev: string;
}

/** What to sign and where to send it: `recordsPerRequest` 1 goes to the contract's health path, more to the outbox path. */
export interface LoadPlan {
  url: string;
  chains: ChainEnd[];
  requestsPerAgent: number;
  recordsPerRequest: number;
}

/** Everything is signed: the chains as they will stand. */
export interface LoadReady {
  chains: ChainEnd[];
}

/** Everything was answered. */
export interface LoadDone {
  elapsedMs: number;
  /** The first answer that was not 200. */
  failure: string | null;
}

interface SignedRequest {
  method: 'POST';
  path: string;
  headers: Record<string, string>;
  body: Buffer;
}

const clock = { now: () => Date.now(), monotonic: () => performance.now(), schedule: () => () => undefined };
const random = { bytes: (count: number) => new Uint8Array(randomBytes(count)) };

let prepared: { url: string; byAgent: SignedRequest[][] } | null = null;

process.on('message', (message: LoadPlan | 'go') => {
  if (message === 'go') void send();
  else prepare(message);
});

function prepare(plan: LoadPlan): void {
  const chains = plan.chains.map((chain) => ({ ...chain }));
  const byAgent = chains.map((chain) => {
    const key = SigningKey.fromSeed(Buffer.from(chain.seed, 'hex'));
    return Array.from({ length: plan.requestsPerAgent }, () => signOne(plan, chain, key));
  });
  prepared = { url: plan.url, byAgent };
  process.send?.({ chains } satisfies LoadReady);
}

function signOne(plan: LoadPlan, chain: ChainEnd, key: SigningKey): SignedRequest {
  const records = Array.from({ length: plan.recordsPerRequest }, () => nextRecord(chain, key));
  const isSingle = plan.recordsPerRequest === 1;
  const path = isSingle ? `/api/v1/contracts/${chain.contractId}/health` : '/api/v1/agents/records';
  const body = Buffer.from(JSON.stringify(isSingle ? { record: records[0] } : { records }));
  const signature = signRequest(
    { method: 'POST', url: new URL(path, plan.url), body },
    { key, clock, random },
  );
  return { method: 'POST', path, headers: { ...signature, 'content-type': 'application/json' }, body };
}

function nextRecord(chain: ChainEnd, key: SigningKey): string {
  chain.seq += 1;
  const record = signRecord(
    {
      seq: chain.seq,
      prev: chain.prev,
      at: new Date().toISOString(),
      environment: chain.environment,
      kind: 'health',
      contract_id: chain.contractId,
      epoch: 1,
      data: { status: 'healthy', latency_ms: 1.5, checks: { tcp: true, ssh: true } },
    },
    key,
  );
  chain.prev = hashJws(record);
  return record;
}

async function send(): Promise<void> {
  if (prepared === null) throw new Error('nothing was prepared');
  const { url, byAgent } = prepared;
  const clients = byAgent.map(() => new Client(url, { pipelining: 1 }));
  let failure: string | null = null;
  // Every connection stands before the clock starts.
  await Promise.all(
    clients.map(async (client) =>
      (await client.request({ method: 'GET', path: '/health/live' })).body.dump(),
    ),
  );
  const startedAt = performance.now();
  await Promise.all(
    byAgent.map(async (requests, index) => {
      for (const request of requests) {
        const response = await clients[index]?.request(request);
        const text = await response?.body.text();
        if (response?.statusCode !== 200) failure ??= `${String(response?.statusCode)} ${text ?? ''}`;
      }
    }),
  );
  const elapsedMs = performance.now() - startedAt;
  await Promise.all(clients.map((client) => client.close()));
  prepared = null;
  process.send?.({ elapsedMs, failure } satisfies LoadDone);
}
