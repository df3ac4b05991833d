import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import type { PveSimulatorOptions } from '../../pve-sim/simulator-options.ts';
import { simFixtures, type SimFixture } from '../../pve-sim/testing/sim-fixture.ts';
import { awaitTask, nodeOfUpid, PveTaskFailure, type TaskOutcome } from './await-task.ts';
import { PveClient } from './pve-client.ts';

const startSimulator = simFixtures();
const clients: PveClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

/** A simulator with a template, on the second of two nodes, and a linked clone of it that has just begun. */
async function beginClone(
  options: Partial<PveSimulatorOptions>,
): Promise<SimFixture & { upid: string; wait: (over?: WaitOver) => Promise<TaskOutcome> }> {
  const fixture = await startSimulator({ nodes: 2, ...options });
  const { simulator } = fixture;
  await simulator.control.addVm({ vmid: 9000, node: 'pve2', template: true });
  const client = new PveClient({
    url: simulator.url,
    token: () => simulator.rootToken,
    pins: () => [simulator.fingerprint],
    clock: systemClock,
  });
  clients.push(client);
  const upid = String(await fixture.client.ok('POST', '/nodes/pve2/qemu/9000/clone', { newid: '101' }));
  const wait = (over: WaitOver = {}): Promise<TaskOutcome> =>
    awaitTask(upid, {
      client,
      clock: systemClock,
      signal: new AbortController().signal,
      timeoutMs: 4_000,
      ...over,
    });
  return { ...fixture, upid, wait };
}
type WaitOver = { timeoutMs?: number; signal?: AbortSignal };

describe('waiting for a task', () => {
  it('asks the node that stands in the UPID, and answers once the work is done', async () => {
    const { upid, wait, client } = await beginClone({});
    expect(nodeOfUpid(upid)).toBe('pve2');
    expect(await wait()).toEqual({ warnings: [] });
    expect(await client.ok('GET', '/nodes/pve2/qemu/101/config')).toMatchObject({
      digest: expect.any(String) as string,
    });
  });

  it('takes WARNINGS for a success, and keeps them', async () => {
    const { wait } = await beginClone({
      faults: { rules: [{ on: 'task', type: 'qmclone', warnings: ['cache is off'] }] },
    });
    const { warnings } = await wait();
    expect(warnings).toEqual([expect.stringContaining('cache is off')]);
  });

  it('fails with the words and the log of the task', async () => {
    const { wait } = await beginClone({
      faults: { rules: [{ on: 'task', type: 'qmclone', fail: "can't lock file: got timeout" }] },
    });
    const failure: unknown = await wait().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(PveTaskFailure);
    expect((failure as PveTaskFailure).message).toContain('got timeout');
    expect((failure as PveTaskFailure).log.length).toBeGreaterThan(0);
  });

  it('is patient with a task that is unknown just after it began', async () => {
    const { wait } = await beginClone({ timing: { taskUnknownMs: 300 } });
    expect(await wait()).toEqual({ warnings: [] });
  });

  it('is patient with 595, 596, 599 and cut connections', async () => {
    const answers = [595, 596, 599].map((status, index) => ({
      on: 'request' as const,
      path: '*status',
      nth: [index + 1],
      answer: { status, reason: 'Connection refused' },
    }));
    const { wait } = await beginClone({
      faults: { rules: [...answers, { on: 'request', path: '*status', nth: [4], cut: true }] },
    });
    expect(await wait()).toEqual({ warnings: [] });
  });

  it('stops at once where it may not look', async () => {
    const { wait } = await beginClone({
      faults: {
        rules: [
          { on: 'request', path: '*status', answer: { status: 403, reason: 'Permission check failed' } },
        ],
      },
    });
    await expect(wait()).rejects.toMatchObject({ status: 403 });
  });

  it('says that nobody knows how a task ends that does not', async () => {
    const { wait } = await beginClone({ faults: { rules: [{ on: 'task', type: 'qmclone', hang: true }] } });
    await expect(wait({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'PROVISIONER_UNAVAILABLE' });
  });

  it('stops when it is told to', async () => {
    const { wait } = await beginClone({ faults: { rules: [{ on: 'task', type: 'qmclone', hang: true }] } });
    const abort = new AbortController();
    const waiting = wait({ signal: abort.signal });
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'SAGA_ABORTED' });
  });
});
