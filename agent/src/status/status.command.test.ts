import { join } from 'node:path';
import { settle } from '@dc/shared/testing/manual-clock';
import { AppError } from '@dc/shared/errors';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../cli.ts';
import { Installation } from '../testing/installation.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { testWorld } from '../testing/test-world.ts';
import type { StatusReport } from './read-status.ts';

const makeDir = tempDirs();
let world: Installation;
let configFile: string;

beforeEach(async () => {
  const dir = await makeDir();
  world = new Installation(join(dir, 'state'));
  configFile = join(dir, 'dc-agent.toml');
  await world.writeConfig(configFile);
});
afterEach(() => world.close());

async function run(...argv: string[]) {
  const command = testWorld({ clock: world.clock });
  const exitCode = await runCli(['--config', configFile, ...argv], command);
  return { exitCode, out: command.printed(), err: command.complained() };
}

const report = async (): Promise<StatusReport> =>
  JSON.parse((await run('status', '--json')).out) as StatusReport;

describe('status', () => {
  it('of a machine that never ran an agent says so', async () => {
    const { exitCode, err } = await run('status');
    expect(exitCode).toBe(1);
    expect(err).toContain('[JOURNAL_MISSING]');
  });

  it('shows a running agent with its instances, beside it', async () => {
    await world.start();
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await settle();
    await world.clock.advance(30_000);
    const { exitCode, out } = await run('status');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^agent {8}running, version 0\.1\.0, pid \d+, started 30 s ago$/m);
    expect(out).toMatch(/^coordinator {2}last answer \d+ s ago$/m);
    expect(out).toMatch(/^backend {6}memory, healthy: /m);
    expect(out).toMatch(/^outbox {7}empty$/m);
    expect(out).toContain(contract);
    expect(out).not.toContain('\u001b');
  });

  it('shows what waits and what is at work', async () => {
    world.backend.inject({ on: 'create', what: 'reply_lost' });
    world.coordinator.before = (call) => {
      if (call === 'return') throw new AppError('COORDINATOR_UNREACHABLE');
    };
    await world.start();
    world.coordinator.addWork('provision', world.newContract());
    world.coordinator.addWork('stop', world.newContract());
    await settle();
    const { out } = await run('status');
    expect(out).toContain('provision-instance');
    expect(out).toContain('0 records and 1 returned orders wait');
    expect((await report()).open_work).toHaveLength(1);
  });

  it('knows since when the coordinator is silent', async () => {
    await world.start();
    world.coordinator.before = () => {
      throw new AppError('COORDINATOR_UNREACHABLE');
    };
    world.coordinator.cutStreams(new AppError('COORDINATOR_UNREACHABLE'));
    await world.clock.advance(600_000);
    expect((await run('status')).out).toMatch(/no contact since 8 min ago, last answer 10 min ago/);
  });

  it('of an agent that is gone says when it was last seen', async () => {
    const agent = await world.start();
    await agent.stop();
    await world.clock.advance(120_000);
    const { exitCode, out } = await run('status');
    expect(exitCode).toBe(1);
    expect(out).toMatch(/not running, last seen 2 min ago$/m);
    expect((await report()).running).toBe(false);
  });

  it('of an agent that ended itself says why', async () => {
    const agent = await world.start();
    world.coordinator.before = () => {
      throw new AppError('KEY_REVOKED');
    };
    await world.clock.advance(40_000);
    await agent.stop();
    const { out } = await run('status');
    expect(out).toContain('it ended itself: This key was revoked.');
    expect((await report()).stopped_because?.code).toBe('KEY_REVOKED');
  });
});

describe('why', () => {
  it('explains an instance that is as it should be', async () => {
    await world.start();
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await settle();
    const { exitCode, out } = await run('why', contract);
    expect(exitCode).toBe(0);
    expect(out).toContain('everything is as it should be');
    expect(out).toContain('provision-instance/create');
  });

  it('explains what is in the way, with the tries and what to do', async () => {
    await world.start();
    for (let count = 0; count < 3; count += 1) world.backend.inject({ on: 'create', what: 'error' });
    const contract = world.newContract();
    world.coordinator.addWork('provision', contract);
    await settle();
    const { out } = await run('why', contract.slice(0, 34), '--json');
    expect(JSON.parse(out)).toMatchObject({
      contract_id: contract,
      blocked_by: { code: 'retry_later' },
      last_attempts: [
        { step: 'names' },
        { step: 'create', outcome: 'failed', code: 'PROVISIONER_UNAVAILABLE' },
      ],
    });
    expect((await run('why', contract)).out).toMatch(/^blocked by {2}.*\[retry_later\]$/m);
  });

  it('knows nothing of a contract that it never had, and does not guess which one is meant', async () => {
    await world.start();
    expect((await run('why', 'ffff')).err).toContain('[CONTRACT_NOT_FOUND]');
    for (let count = 0; count < 2; count += 1) world.coordinator.addWork('provision', world.newContract());
    await settle();
    const { exitCode, err } = await run('why', '0189');
    expect(exitCode).toBe(2);
    expect(err).toContain('2 contracts begin with 0189');
  });
});
