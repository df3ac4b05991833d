import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../cli.ts';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { SILENT } from '../lib/log.ts';
import { SetupCoordinator } from '../testing/setup-coordinator.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { testWorld } from '../testing/test-world.ts';
import { loadConfig } from '../config/load-config.ts';
import { createAgent } from '../wiring.ts';
import type { CheckResult } from './check.ts';

const makeDir = tempDirs();
let coordinator: SetupCoordinator;
let dir: string;
let configFile: string;

beforeEach(async () => {
  coordinator = await SetupCoordinator.start();
  dir = await makeDir();
  configFile = join(dir, 'dc-agent.toml');
});
afterEach(() => coordinator.stop());

/** A machine that was set up, with a grant of its own. */
async function setUp(...change: Parameters<SetupCoordinator['grant']>): Promise<void> {
  const world = testWorld({ readSecret: () => Promise.resolve(coordinator.grant(...change)) });
  const args = ['--coordinator', coordinator.url, '--output', configFile, '--state-dir', join(dir, 'state')];
  expect(await runCli(['setup', 'token', ...args], world), world.complained()).toBe(0);
}

async function doctor(clock = systemClock) {
  const world = testWorld({ clock });
  const exitCode = await runCli(['doctor', '--json', '--config', configFile], world);
  const { checks } = JSON.parse(world.printed()) as { checks: CheckResult[] };
  const of = (name: string): CheckResult => checks.find((check) => check.name === name)!;
  return { exitCode, checks, of };
}

describe('the doctor', () => {
  it('finds nothing wrong with a machine that was just set up, and changes nothing there', async () => {
    await setUp();
    const { exitCode, checks } = await doctor();
    expect(checks.map(({ name, severity }) => `${name} ${severity}`)).toEqual([
      'configuration ok',
      'keys ok',
      'disk ok',
      'journal skipped',
      'agent skipped',
      'delegation ok',
      'pinned keys ok',
      'coordinator ok',
      'backend ok',
      'deliveries skipped',
      'releases skipped',
      'orphans skipped',
      'outbox skipped',
    ]);
    expect(exitCode).toBe(0);
    expect(new Set(coordinator.registrations).size).toBe(1);
    expect(coordinator.memory.calls).toEqual([]);
  });

  it('works beside a running agent, and asks it about the backend', async () => {
    await setUp();
    const config = await loadConfig(configFile);
    const agent = createAgent(config, { clock: systemClock, random: systemRandom, log: SILENT });
    await agent.start();
    try {
      const { exitCode, of } = await doctor();
      expect(of('agent').detail).toContain(`pid ${process.pid}`);
      expect(of('backend').detail).toContain('The agent says');
      expect(exitCode).toBe(0);
    } finally {
      await agent.stop();
    }
    expect((await doctor()).of('outbox').severity).toBe('ok');
  });

  it('goes on after a failure, and says what each one needs', async () => {
    await setUp();
    await chmod(join(dir, 'keys', 'agent.key'), 0o644);
    const { exitCode, of, checks } = await doctor();
    expect(of('keys')).toMatchObject({
      severity: 'failure',
      code: 'KEY_FILE_UNSAFE',
      remedy: `Run: chmod 600 ${join(dir, 'keys', 'agent.key')}`,
    });
    expect(of('coordinator').severity).toBe('skipped');
    expect(exitCode).toBe(2);
    expect(checks.length).toBe(13);
  });

  it('shows every problem of a broken configuration', async () => {
    await setUp();
    await writeFile(configFile, (await readFile(configFile, 'utf8')).replace('pool_id', 'poolid'), {
      mode: 0o600,
    });
    const { exitCode, of } = await doctor();
    expect(of('configuration').detail).toContain('did you mean agent.pool_id?');
    expect(exitCode).toBe(2);
  });

  it('notices a coordinator that signs with another key than the pinned one', async () => {
    await setUp();
    const text = await readFile(configFile, 'utf8');
    const other = coordinator.provider.publicKey;
    await writeFile(configFile, text.replace(coordinator.memory.key.publicKey, other), { mode: 0o600 });
    const { of } = await doctor();
    expect(of('coordinator')).toMatchObject({ severity: 'failure', code: 'ORDER_REFUSED' });
    expect(of('delegation')).toMatchObject({ severity: 'failure', code: 'GRANT_INVALID' });
  });

  it('says how far the clock is off, and that requests get through all the same', async () => {
    await setUp();
    const ahead = { ...systemClock, now: () => Date.now() + 3_600_000 };
    const { exitCode, of } = await doctor(ahead);
    expect(of('coordinator').detail).toContain('60 min ahead of');
    expect(of('coordinator').severity).toBe('warning');
    expect(exitCode).toBe(0);
  });

  it('tells in time that the delegation ends, and when it has', async () => {
    const inDays = (days: number): number => Math.floor(Date.now() / 1000) + days * 86_400;
    await setUp({ delegation_exp: inDays(5) });
    expect((await doctor()).of('delegation')).toMatchObject({
      severity: 'warning',
      detail: 'It ends in 5 d.',
    });
    const later = { ...systemClock, now: () => Date.now() + 6 * 86_400_000 };
    expect((await doctor(later)).of('delegation').code).toBe('GRANT_EXPIRED');
  });

  it('tells a coordinator that does not answer from one that does not know us', async () => {
    await setUp();
    coordinator.wire.misbehave = () => ({ status: 503 });
    expect((await doctor()).of('coordinator').code).toBe('SERVICE_UNAVAILABLE');
    coordinator.wire.misbehave = () => ({ status: 401, body: '{"code":"KEY_REVOKED","detail":"Revoked."}' });
    const { exitCode, of } = await doctor();
    expect(of('coordinator').code).toBe('KEY_REVOKED');
    expect(exitCode).toBe(4);
  });

  it('notices a disk that is almost full', async () => {
    await setUp();
    const text = await readFile(configFile, 'utf8');
    await writeFile(configFile, text.replace('# disk_free_mb = 200', 'disk_free_mb = 1000000'), {
      mode: 0o600,
    });
    await (async () => {
      const agent = createAgent(await loadConfig(configFile), {
        clock: systemClock,
        random: systemRandom,
        log: SILENT,
      });
      await agent.start();
      await agent.stop();
    })();
    expect((await doctor()).of('disk')).toMatchObject({ severity: 'warning' });
  });

  it('says for people the same', async () => {
    await setUp();
    await rm(join(dir, 'keys', 'seal.key'));
    const world = testWorld();
    expect(await runCli(['doctor', '--config', configFile], world)).toBe(2);
    expect(world.printed()).toMatch(/^✓ configuration {2}/m);
    expect(world.printed()).toMatch(
      /^✗ keys {11}The key file .*seal\.key is missing\. \[KEY_FILE_INVALID\]$/m,
    );
    expect(world.printed()).toMatch(/^ {17}→ Restore it/m);
  });
});

/** A world in which the operator presses Ctrl-C when a line with this text is printed. */
function interruptedAt(text: string): ReturnType<typeof testWorld> {
  let interrupt = (_: NodeJS.Signals): void => undefined;
  const signalled = new Promise<NodeJS.Signals>((resolve) => (interrupt = resolve));
  const world = testWorld({ signalled: () => signalled });
  const print = world.print.bind(world);
  world.print = (line) => {
    print(line);
    if (line.includes(text)) interrupt('SIGINT');
  };
  return world;
}

describe('test-provision', () => {
  it('makes a real instance, sees its SSH server answer, and destroys it', async () => {
    await setUp();
    const world = testWorld();
    const exitCode = await runCli(['test-provision', '--json', '--config', configFile], world);
    expect([exitCode, world.complained()]).toEqual([0, '']);
    const { stages } = JSON.parse(world.printed()) as { stages: { name: string; duration_ms: number }[] };
    expect(stages.map(({ name }) => name)).toEqual([
      'fingerprint',
      'create',
      'ssh answers',
      'destroy',
      'proof of absence',
    ]);
  });

  it('keeps it until it is told to end, and tells how to log in', async () => {
    await setUp();
    const world = interruptedAt('It stays until');
    expect(await runCli(['test-provision', '--keep', '--config', configFile], world)).toBe(0);
    expect(world.printed()).toMatch(/ssh -p \d+ renter@127\.0\.0\.1 {3}# host key SHA256:/);
    expect(world.printed()).toMatch(/proof of absence/);
  });

  it('takes away what it made when it is interrupted, and says so', async () => {
    await setUp();
    const world = interruptedAt('fingerprint');
    expect(await runCli(['test-provision', '--config', configFile], world)).toBe(1);
    expect(world.complained()).toContain('SAGA_ABORTED');
    expect(world.printed()).toContain('✓ destroy');
  });

  it('refuses a key that nobody could log in with', async () => {
    await setUp();
    const file = join(dir, 'id.pub');
    await writeFile(file, 'ssh-dss AAAA');
    const world = testWorld();
    expect(await runCli(['test-provision', '--ssh-pubkey', file, '--config', configFile], world)).toBe(1);
    expect(world.complained()).toContain('[SSH_KEY_INVALID]');
  });
});
