import { beforeEach, describe, expect, it } from 'vitest';
import { hashJws } from '@dc/shared/crypto/jws';
import { CHAIN_START, signRecord, verifyCheckpoint } from '@dc/shared/evidence/record';
import type { WireProvider } from '@dc/shared/wire/offering';
import { AgentPlayer, type RecordsAnswerBody } from '../testing/agent-player.ts';
import { expectStatus, keyOf } from '../testing/people.ts';
import {
  addAgent,
  atPrivateAddress,
  look,
  openMarket,
  reaches,
  rent,
  rentAndLease,
  type Market,
} from '../testing/rental.ts';

let market: Market;
let agent: AgentPlayer;
let id: string;
beforeEach(async () => {
  market = await openMarket();
  ({ agent } = market);
  ({ id } = await rentAndLease(market));
});

const health = (): string => agent.sign('health', id, { data: { status: 'healthy', latency_ms: 1 } });
const kept = () =>
  market.coordinator.context.db.read
    .selectFrom('records')
    .selectAll()
    .where('agent_key', '=', agent.key.publicKey)
    .orderBy('seq')
    .execute();

/** What everyone sees of the agent's chain. */
async function evidence() {
  const path = `/providers/${market.provider.key.publicKey}`;
  const provider = expectStatus(await market.coordinator.client.get<WireProvider>(path), 200);
  return provider.agents.find(({ public_key }) => public_key === agent.key.publicKey)?.evidence;
}

describe('a batch of records', () => {
  it('of 500 is kept word for word, in order, with a receipt for the last one', async () => {
    const { context, clock } = market.coordinator;
    const records = Array.from({ length: 500 }, health);
    const answer = expectStatus(await agent.send(records), 200);
    expect(answer.results).toEqual(records.map((_, index) => ({ seq: index + 1, outcome: 'applied' })));
    expect(verifyCheckpoint(answer.checkpoint)).toEqual({
      coordinator: context.key.publicKey,
      payload: {
        agent: agent.key.publicKey,
        seq: 500,
        hash: hashJws(records.at(-1)!),
        received_at: new Date(clock.now()).toISOString(),
      },
    });
    const rows = await kept();
    expect(rows.map(({ compact }) => compact)).toEqual(records);
    expect(rows.map(({ checkpoint }) => checkpoint)).toEqual([
      ...records.slice(1).map(() => null),
      answer.checkpoint,
    ]);
  });

  it('of 501, or of none, is refused whole', async () => {
    expect(await agent.send(Array.from({ length: 501 }, health))).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID' },
    });
    expect(await agent.send([])).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
    expect(await kept()).toEqual([]);
  });

  it('that comes again changes nothing and is a success', async () => {
    const records = [health(), agent.sign('provisioned', id, { data: atPrivateAddress }), health()];
    expectStatus(await agent.send(records), 200);
    const active = await reaches(market, id, 'active');
    const answer = expectStatus(await agent.send(records), 200);
    expect(answer.results.map(({ outcome }) => outcome)).toEqual(Array(3).fill('already_applied'));
    expect(verifyCheckpoint(answer.checkpoint)?.payload).toMatchObject({
      seq: 3,
      hash: hashJws(records[2]!),
    });
    expect(await look(market, id)).toEqual(active);
    expect(await kept()).toHaveLength(3);
  });

  it('may begin with what is held and go on with what is new', async () => {
    const records = [health(), health(), health(), health()];
    expectStatus(await agent.send(records.slice(0, 2)), 200);
    const { results } = expectStatus(await agent.send(records), 200);
    expect(results.map(({ outcome }) => outcome)).toEqual([
      'already_applied',
      'already_applied',
      'applied',
      'applied',
    ]);
    expect(await kept()).toHaveLength(4);
  });

  it('says for each record why it had no effect, the same whenever it is asked', async () => {
    const foreign = '01993b5e-0000-7000-8000-000000000000';
    const records = [
      agent.sign('provisioned', id, { epoch: 7, data: atPrivateAddress }),
      agent.sign('destroyed', id),
      agent.sign('provisioned', id, { data: { access: { host: '-oProxyCommand=sh' } } }),
      agent.sign('health', foreign),
      agent.sign('health', id, { environment: 'prod' }),
      health(),
    ];
    const expected = [
      { seq: 1, outcome: 'not_applied', code: 'LEASE_STALE' },
      { seq: 2, outcome: 'not_applied', code: 'RECORD_CONTRADICTS' },
      { seq: 3, outcome: 'not_applied', code: 'RECORD_INVALID' },
      { seq: 4, outcome: 'not_applied', code: 'RECORD_FOREIGN' },
      { seq: 5, outcome: 'not_applied', code: 'RECORD_FOREIGN' },
    ];
    const first = expectStatus(await agent.send(records), 200);
    expect(first.results).toEqual([...expected, { seq: 6, outcome: 'applied' }]);
    const again = expectStatus(await agent.send(records), 200);
    expect(again.results).toEqual([...expected, { seq: 6, outcome: 'already_applied' }]);
    expect((await look(market, id)).state).toBe('provisioning');
  });

  it('by two deliveries at once is kept once', async () => {
    const records = Array.from({ length: 20 }, health);
    const answers = await Promise.all([agent.send(records), agent.send(records), agent.send(records)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(await kept()).toHaveLength(20);
    expect(await evidence()).toEqual({ records: 20, gap_from_seq: null, fork_at_seq: null });
  });
});

describe('a record that cannot be verified', () => {
  const flipped = (compact: string): string => {
    const at = compact.indexOf('.') + 40;
    return compact.slice(0, at) + (compact[at] === 'A' ? 'B' : 'A') + compact.slice(at + 1);
  };

  it.each<[string, () => string]>([
    ['of which one character was changed', () => flipped(health())],
    ['that is no JWS', () => 'a.b.c'],
    [
      'of a kind that does not exist',
      () => signRecord({ ...agent.compose('health', id), kind: 'exploded' as never }, agent.key),
    ],
    ['numbered zero', () => signRecord({ ...agent.compose('health', id), seq: 0 }, agent.key)],
    ['with a member more', () => signRecord({ ...agent.compose('health', id), more: 1 } as never, agent.key)],
  ])('%s is refused, and named', async (_, make) => {
    const good = health();
    const answer = await agent.send([good, make()]);
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'RECORD_INVALID', detail: expect.stringContaining('Record 2 of the request') as string },
    });
    expect(await kept()).toEqual([]);
    expectStatus(await agent.send([good]), 200);
  });

  it('because another key signed it is refused, and the rest of the batch with it', async () => {
    const other = await addAgent(market, 'other');
    const answer = await agent.send([health(), other.sign('health', id)]);
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'RECORD_INVALID', detail: expect.stringContaining('another key signed it') as string },
    });
    expect(await kept()).toEqual([]);
  });

  it('by another key is not even verified, wherever it stands in the batch', async () => {
    const other = await addAgent(market, 'other');
    const forged = health().replace(/\.[^.]*$/, `.${'A'.repeat(86)}`);
    const answer = await agent.send([forged, other.sign('health', id)]);
    expect(answer.body.detail).toBe('Record 2 of the request was refused: another key signed it.');
  });

  it.each([1, 500])('that a stranger sends is answered by who it is not: %i at once', async (count) => {
    const stranger = new AgentPlayer(market.coordinator, keyOf('stranger'));
    const records = Array.from({ length: count }, () => flipped(stranger.sign('health', id)));
    expect(await stranger.send(records)).toMatchObject({ status: 401, body: { code: 'KEY_UNKNOWN' } });
  });

  it('because nobody registered its key is refused', async () => {
    const stranger = new AgentPlayer(market.coordinator, keyOf('stranger'));
    expect(await stranger.send([stranger.sign('health', id)])).toMatchObject({
      status: 401,
      body: { code: 'KEY_UNKNOWN' },
    });
  });
});

describe('a gap', () => {
  it('stops the agent, says from where to send again, and is shown to everyone until it is filled', async () => {
    const [first, second, third] = [health(), health(), health()];
    expectStatus(await agent.send([first]), 200);
    const answer = await agent.send([third]);
    expect(answer).toMatchObject({ status: 409, body: { code: 'RECORD_GAP', expected_seq: 2 } });
    expect(await evidence()).toEqual({ records: 1, gap_from_seq: 2, fork_at_seq: null });
    expectStatus(await agent.send([second, third]), 200);
    expect(await evidence()).toEqual({ records: 3, gap_from_seq: null, fork_at_seq: null });
  });

  it('in the middle of a batch keeps what came before it', async () => {
    const records = [health(), health(), health(), health()];
    const answer = await agent.send([records[0]!, records[1]!, records[3]!]);
    expect(answer).toMatchObject({ status: 409, body: { code: 'RECORD_GAP', expected_seq: 3 } });
    expect((await kept()).map(({ compact }) => compact)).toEqual(records.slice(0, 2));
    expectStatus(await agent.send(records), 200);
    expect(await kept()).toHaveLength(4);
  });

  it('before the very first record is one too', async () => {
    health();
    const answer = await agent.send([health()]);
    expect(answer).toMatchObject({ status: 409, body: { code: 'RECORD_GAP', expected_seq: 1 } });
    expect(await evidence()).toEqual({ records: 0, gap_from_seq: 1, fork_at_seq: null });
  });
});

describe('a fork', () => {
  /** Another first record by the same key, as a copy of the agent would sign it. */
  const doubled = (): string =>
    signRecord(
      {
        ...new AgentPlayer(market.coordinator, agent.key).compose('failed', id),
        at: '2026-11-20T11:00:00.000Z',
      },
      agent.key,
    );
  const forks = () =>
    market.coordinator.context.db.read.selectFrom('forks').select(['seq', 'compact']).execute();

  it('is refused, kept word for word as proof, and shown for ever', async () => {
    const own = health();
    expectStatus(await agent.send([own]), 200);
    const other = doubled();
    const refused = { status: 409, body: { code: 'RECORD_FORK' } };
    expect(await agent.send([other])).toMatchObject(refused);
    expect(await agent.send([other])).toMatchObject(refused);
    expect(await forks()).toEqual([{ seq: 1, compact: other }]);
    expect((await kept()).map(({ compact }) => compact)).toEqual([own]);
    expect((await look(market, id)).state).toBe('provisioning');

    expectStatus(await agent.send([health(), health()]), 200);
    expect(await evidence()).toEqual({ records: 3, gap_from_seq: null, fork_at_seq: 1 });
  });

  it('is also a record that does not continue the chain that is held', async () => {
    expectStatus(await agent.send([health()]), 200);
    const payload = { ...agent.compose('health', id), prev: 'ab'.repeat(32) };
    const loose = signRecord(payload, agent.key);
    expect(await agent.send([loose])).toMatchObject({ status: 409, body: { code: 'RECORD_FORK' } });
    expect(await forks()).toEqual([{ seq: 2, compact: loose }]);
    expect(await evidence()).toMatchObject({ records: 1, fork_at_seq: 2 });
  });

  it('is also a first record that claims to have one before it', async () => {
    const loose = signRecord({ ...agent.compose('health', id), prev: 'ab'.repeat(32) }, agent.key);
    expect(await agent.send([loose])).toMatchObject({ status: 409, body: { code: 'RECORD_FORK' } });
    expect(CHAIN_START).not.toBe('ab'.repeat(32));
  });

  it('is remembered by its first record, beside a gap', async () => {
    const records = [health(), health(), health(), health(), health()];
    expectStatus(await agent.send(records.slice(0, 3)), 200);
    await agent.send([records[4]!]);
    const at = (seq: number): string =>
      signRecord({ ...agent.compose('health', id), seq, prev: CHAIN_START }, agent.key);
    await agent.send([at(3)]);
    await agent.send([at(2)]);
    await agent.send([at(3)]);
    expect(await evidence()).toEqual({ records: 3, gap_from_seq: 4, fork_at_seq: 2 });
  });
});

describe('a record on a path of its own', () => {
  const put = (path: string, record: string, method = 'PUT') =>
    market.coordinator.client.call<RecordsAnswerBody & { result: unknown }>(
      method,
      path,
      { record },
      { key: agent.key },
    );

  it.each([
    ['provisioned', 'PUT', (of: string) => `/provider/rental-requests/${of}/provisioning`],
    ['failed', 'PUT', (of: string) => `/provider/rental-requests/${of}/provisioning`],
    ['password_reset', 'PUT', (of: string) => `/provider/rental-requests/${of}/password`],
    ['health', 'POST', (of: string) => `/contracts/${of}/health`],
  ] as const)('of the kind %s is taken on it', async (kind, method, path) => {
    const record = agent.sign(kind, id, { data: atPrivateAddress });
    const answer = await put(path(id), record, method);
    expect(expectStatus(answer, 200).result).toEqual({ seq: 1, outcome: 'applied' });
    expect(verifyCheckpoint(answer.body.checkpoint)?.payload).toMatchObject({
      seq: 1,
      hash: hashJws(record),
    });
  });

  it.each([
    ['health', 'PUT', (of: string) => `/provider/rental-requests/${of}/provisioning`],
    ['destroyed', 'PUT', (of: string) => `/provider/rental-requests/${of}/provisioning`],
    ['provisioned', 'PUT', (of: string) => `/provider/rental-requests/${of}/password`],
    ['provisioned', 'POST', (of: string) => `/contracts/${of}/health`],
  ] as const)('of the kind %s is refused on another’s', async (kind, method, path) => {
    const answer = await put(path(id), agent.sign(kind, id, { data: atPrivateAddress }), method);
    expect(answer).toMatchObject({ status: 400, body: { code: 'RECORD_INVALID' } });
    expect(await kept()).toEqual([]);
  });

  it('is refused for another contract than the path’s', async () => {
    const other = await rent(market);
    const record = agent.sign('provisioned', id, { data: atPrivateAddress });
    const answer = await put(`/provider/rental-requests/${other.id}/provisioning`, record);
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'RECORD_INVALID', detail: expect.stringContaining('another contract') as string },
    });
    expect(await kept()).toEqual([]);
  });

  it('keeps its place in the same chain: a gap is a gap', async () => {
    health();
    const answer = await put(`/contracts/${id}/health`, health(), 'POST');
    expect(answer).toMatchObject({ status: 409, body: { code: 'RECORD_GAP', expected_seq: 1 } });
  });
});
