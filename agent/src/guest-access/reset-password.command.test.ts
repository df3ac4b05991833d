/** `dc-agent reset-password` against an agent in this process, on the real clock: socket, order, saga, record. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { boxKeyOf, openBox, type SealedBox } from '@dc/shared/crypto/sealed-box';
import { SigningKey } from '@dc/shared/crypto/ed25519';
import { AppError } from '@dc/shared/errors';
import { renderConfig } from '../config/config-template.ts';
import { Secret } from '../config/key-files.ts';
import { loadConfig } from '../config/load-config.ts';
import { controlSocket, driverDir } from '../config/paths.ts';
import { runCli } from '../cli.ts';
import { SILENT } from '../lib/log.ts';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { openProvisioner } from '../provisioners/registry.ts';
import { ENVIRONMENT, MemoryCoordinator } from '../testing/memory-coordinator.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { testWorld } from '../testing/test-world.ts';
import { createAgent, type Agent } from '../wiring.ts';

const CONTRACT_ID = '01890000-0000-7000-8000-00000000000c';
const RENTER_SEED = new Uint8Array(32).fill(4);
const SEAL_SECRET = new Uint8Array(32).fill(6);
const makeDir = tempDirs();
const agentKey = SigningKey.fromSeed(new Uint8Array(32).fill(5));
let coordinator: MemoryCoordinator;
let configFile: string;
let stateDir: string;
let agent: Agent | null;

beforeEach(async () => {
  agent = null;
  const dir = await makeDir();
  stateDir = join(dir, 'state');
  configFile = join(dir, 'dc-agent.toml');
  coordinator = new MemoryCoordinator(systemClock, agentKey.publicKey);
  coordinator.sealTo = [SigningKey.fromSeed(RENTER_SEED).publicKey];
  const text = renderConfig({
    coordinator: { url: 'http://127.0.0.1:1', public_keys: [coordinator.key.publicKey] },
    agent: {
      environment: ENVIRONMENT,
      provider_pubkey: agentKey.publicKey,
      pool_id: '01890000-0000-7000-8000-0000000000b1',
      state_dir: stateDir,
      key_dir: join(dir, 'keys'),
    },
    provisioner: { kind: 'local' },
  });
  await writeFile(configFile, text, { mode: 0o600 });
});
afterEach(async () => {
  await agent?.stop();
});

/** Starts an agent with one instance of the local driver. */
async function startRented(): Promise<void> {
  const sealSecret = SEAL_SECRET;
  const context = {
    clock: systemClock,
    random: systemRandom,
    sealSecret,
    stateDir: driverDir(stateDir, 'local'),
  };
  agent = createAgent(await loadConfig(configFile), {
    clock: systemClock,
    random: systemRandom,
    log: SILENT,
    keys: { agentKey, sealSecret: new Secret(sealSecret) },
    coordinator,
    provisioner: await openProvisioner('local', {}, context),
    controlPath: controlSocket(stateDir),
  });
  await agent.start();
  coordinator.addWork('provision', CONTRACT_ID);
  await expect.poll(() => coordinator.records.length, { timeout: 10_000 }).toBe(1);
}

async function run(...args: string[]) {
  const world = testWorld();
  const exitCode = await runCli(['reset-password', ...args, '--config', configFile], world);
  return { exitCode, said: `${world.printed()}\n${world.complained()}` };
}

describe('dc-agent reset-password', () => {
  it('has a password made by the same saga as an order does, and shows it to nobody', async () => {
    await startRented();
    const { exitCode, said } = await run('--contract-id', CONTRACT_ID);
    expect(said).toContain('Only the renter can read it');
    expect(exitCode).toBe(0);
    expect(coordinator.work.map(({ kind }) => kind)).toEqual(['provision', 'reset_password']);
    await expect.poll(() => coordinator.records.length).toBe(2);
    const { kind, data } = coordinator.records[1]!.payload;
    expect(kind).toBe('password_reset');
    const [box] = data['boxes'] as SealedBox[];
    const password = await openBox(box!, await boxKeyOf(RENTER_SEED), CONTRACT_ID);
    expect(said).not.toContain(password);
  });

  it('says what was in the way', async () => {
    await startRented();
    coordinator.sealTo = [];
    coordinator.before = (call) => {
      if (call === 'reset') throw new AppError('CREDENTIALS_PENDING');
    };
    const { exitCode, said } = await run('--contract-id', CONTRACT_ID, '--json');
    expect(exitCode).toBe(1);
    expect(said).toContain('CREDENTIALS_PENDING');
  });

  it('asks nobody for a contract that has no instance here', async () => {
    await startRented();
    const { exitCode, said } = await run('--contract-id', '01890000-0000-7000-8000-00000000000d');
    expect(exitCode).toBe(1);
    expect(said).toContain('holds no running instance');
    expect(coordinator.calls).not.toContain('reset');
  });

  it('needs a contract, and an agent that runs', async () => {
    expect(await run()).toMatchObject({
      exitCode: 2,
      said: expect.stringContaining('--contract-id') as string,
    });
    await startRented();
    await agent?.stop();
    expect(await run('--contract-id', CONTRACT_ID)).toMatchObject({
      exitCode: 1,
      said: expect.stringContaining('AGENT_STOPPED') as string,
    });
  });
});
