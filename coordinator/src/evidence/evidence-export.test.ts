import { request } from 'node:http';
import { beforeEach, describe, expect, it } from 'vitest';
import { verifyEvidence } from '@dc/shared/evidence/verify-chain';
import { expectStatus, makeProvider } from '../testing/people.ts';
import { addAgent, openMarket, rentAndLease, type Market } from '../testing/rental.ts';
import { until } from '../testing/test-coordinator.ts';

let market: Market;
let id: string;
beforeEach(async () => {
  market = await openMarket();
  ({ id } = await rentAndLease(market));
});

const path = (): string => `/providers/${market.provider.key.publicKey}/evidence`;
async function exported(): Promise<string[]> {
  const answer = await market.coordinator.client.get(path());
  expectStatus(answer, 200);
  expect(answer.headers['content-type']).toBe('application/jsonl; charset=utf-8');
  return answer.text.split('\n');
}

describe('the evidence of a provider', () => {
  it('holds the chains of all its agents, and anybody can verify it offline', async () => {
    const other = await addAgent(market, 'other');
    for (let count = 0; count < 3; count += 1) {
      await market.agent.send([market.agent.sign('health', id), market.agent.sign('health', id)]);
      await other.report('health', id);
    }
    const summary = verifyEvidence(await exported(), market.coordinator.context.key.publicKey);
    expect(summary).toMatchObject({ records: 9, checkpoints: 6 });
    expect(summary.agents.map(({ agent, records }) => [agent, records])).toEqual(
      expect.arrayContaining([
        [market.agent.key.publicKey, 6],
        [other.key.publicKey, 3],
      ]),
    );
  });

  it('stays, when an agent is revoked', async () => {
    await market.agent.report('health', id);
    const { key } = market.provider;
    const agent = `/providers/${key.publicKey}/agents/${market.agent.key.publicKey}`;
    expectStatus(await market.coordinator.client.delete(agent, { key }), 204);
    expect(verifyEvidence(await exported())).toMatchObject({ records: 1, checkpoints: 1 });
  });

  it('of 1,200 records comes page after page, in order, none left out', async () => {
    const records = Array.from({ length: 1200 }, () => market.agent.sign('health', id));
    for (const from of [0, 400, 800])
      expectStatus(await market.agent.send(records.slice(from, from + 400)), 200);
    const lines = await exported();
    const held = lines
      .filter((line) => line.includes('"record"'))
      .map((line) => (JSON.parse(line) as { record: string }).record);
    expect(held).toEqual(records);
    expect(verifyEvidence(lines)).toMatchObject({ records: 1200, checkpoints: 3 });
  });

  it('shows the record that was changed, whoever changed it', async () => {
    for (let count = 0; count < 4; count += 1) await market.agent.report('health', id);
    const lines = await exported();
    const third = lines.findIndex((line, index) => line.includes('"record"') && index >= 4);
    lines[third] = `${lines[third]!.slice(0, -30)}!${lines[third]!.slice(-29)}`;
    expect(() => verifyEvidence(lines)).toThrow(
      expect.objectContaining({
        code: 'EVIDENCE_INVALID',
        message: expect.stringContaining('record 3') as string,
      }),
    );
  });

  it('is empty where nothing was ever reported', async () => {
    expect(await exported()).toEqual(['']);
    const idle = await makeProvider(market.coordinator, 'idle');
    expect((await market.coordinator.client.get(`/providers/${idle.key.publicKey}/evidence`)).text).toBe('');
  });

  it('of nobody is not found', async () => {
    expect(await market.coordinator.client.get(`/providers/${'ab'.repeat(32)}/evidence`)).toMatchObject({
      status: 404,
      body: { code: 'PROVIDER_NOT_FOUND' },
    });
  });

  it('waits for a reader that is slow, and stops for one that leaves', async () => {
    // 2,000 long records, 12 MB: more than sockets hold for somebody who does not read.
    const data = { status: 'healthy', note: 'x'.repeat(4000) };
    for (let batch = 0; batch < 20; batch += 1)
      expectStatus(
        await market.agent.send(Array.from({ length: 100 }, () => market.agent.sign('health', id, { data }))),
        200,
      );
    const { url } = await market.coordinator.listen();
    const reader = request(`${url}/api/v1${path()}`, { headers: { host: '127.0.0.1:8787' } });
    let received = 0;
    reader.on('response', (response) => {
      response.on('data', (chunk: Buffer) => {
        received += chunk.length;
        response.pause();
      });
      response.on('error', () => undefined); // We are the ones who leave.
    });
    reader.on('error', () => undefined);
    reader.end();
    await until(() => received > 0, 'the first page');
    expect(received).toBeLessThan(2_000_000);
    reader.destroy();
    // The coordinator is not held up by it: it ends within its time when the test stops it.
    await market.coordinator.stop(1000);
    expect(market.coordinator.logged.filter(({ level }) => level >= 50)).toEqual([]);
  });
});
