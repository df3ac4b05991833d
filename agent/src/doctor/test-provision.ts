/**
 * Makes one real instance through the real driver and destroys it again, timed stage by stage. It has its own
 * scratch directory and a contract that no coordinator knows, so that a running agent does not notice.
 */
import { sleep, type Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { newUuid, toHex } from '@dc/shared/ids';
import type { Random } from '@dc/shared/random';
import { makeSeal } from '@dc/shared/seal';
import type { Config } from '../config/config-schema.ts';
import type { AgentKeys } from '../config/key-files.ts';
import type { Handle, Provisioner, SshAccess } from '../provisioners/provisioner.ts';
import type { ProbeSsh } from '../sagas/saga-parts.ts';
import { withScratchDriver } from '../setup/check-backend.ts';

const PAUSE_MS = 100;

export interface TestProvisionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly probeSsh: ProbeSsh;
  readonly config: Config;
  readonly keys: AgentKeys;
  readonly sshPublicKey: string;
  /** Told after each stage. */
  readonly onStage: (stage: Stage) => void;
  /** Called with the way in once it works; the instance goes when this resolves. */
  readonly whileUp: (ssh: SshAccess) => Promise<void>;
}

/** How long something took. */
export interface Stage {
  readonly name: string;
  readonly durationMs: number;
}

/** Does it. Throws what the driver throws; the instance is destroyed all the same. */
export async function testProvision(parts: TestProvisionParts): Promise<Stage[]> {
  const { config, keys, clock, random, onStage } = parts;
  const stages: Stage[] = [];
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const startedAt = clock.monotonic();
    const result = await work();
    const stage = { name, durationMs: clock.monotonic() - startedAt };
    stages.push(stage);
    onStage(stage);
    return result;
  };
  const { kind, options } = config.provisioner;
  const choice = { kind, options, sealSecret: keys.sealSecret.reveal() };
  await withScratchDriver(choice, { clock, random }, async (driver) => {
    const contractId = newUuid(clock, random);
    const seal = makeSeal(choice.sealSecret, { contractId, environment: config.environment });
    const { signal } = new AbortController();
    const fingerprint = await timed('fingerprint', () => driver.fingerprint(signal));
    if (!fingerprint.healthy) throw new AppError('PROVISIONER_UNAVAILABLE', fingerprint.why);
    const spec = { ...smallestSpec(contractId, parts.sshPublicKey), ...namedSystem(options) };
    const request = { contractId, seal, spec, token: toHex(random.bytes(16)) };
    const { handle, ssh } = await timed('create', () => driver.create(request, signal));
    try {
      const access = await timed('ssh answers', () => waitForSsh(driver, handle, ssh, parts));
      await parts.whileUp(access);
    } finally {
      await timed('destroy', () => driver.destroy(handle, seal, signal));
    }
    const { existence } = await timed('proof of absence', () => driver.inspect(handle, signal));
    if (existence !== 'absent')
      throw new AppError('PROVISIONER_FAILED', `After destroying it is ${existence}.`);
  });
  return stages;
}

/** Small enough for any backend. */
const smallestSpec = (contractId: string, sshPublicKey: string) => ({
  cpu: 1,
  memoryMb: 512,
  diskGb: 5,
  operatingSystem: 'debian-12',
  sshPublicKey,
  hostname: `dc-test-${contractId.slice(-8)}`,
});

/** Where the driver's options name operating systems, one of these, on a disk that any of their images fits on. */
function namedSystem(options: object): { operatingSystem: string; diskGb: number } | object {
  const { templates = {} } = options as { templates?: Readonly<Record<string, string>> };
  const [operatingSystem] = Object.keys(templates);
  return operatingSystem === undefined ? {} : { operatingSystem, diskGb: 12 };
}

async function waitForSsh(
  driver: Provisioner,
  handle: Handle,
  known: SshAccess | null,
  { clock, probeSsh, config }: TestProvisionParts,
): Promise<SshAccess> {
  const { signal } = new AbortController();
  const deadline = clock.monotonic() + config.limits.sshTimeoutMs;
  for (;;) {
    const found = known === null ? await driver.inspect(handle, signal) : null;
    const ssh = known ?? (found?.existence === 'present' ? found.instance.ssh : null);
    const probe = ssh === null ? null : await probeSsh({ host: ssh.host, port: ssh.port }, signal);
    if (ssh !== null && probe?.answered === true && probe.hostKeyFingerprint === ssh.hostKeyFingerprint)
      return ssh;
    if (clock.monotonic() > deadline) {
      const why =
        probe === null ? 'it has no address' : probe.answered ? 'another host key answers' : probe.why;
      throw new AppError('INSTANCE_UNREACHABLE', `The instance did not answer on its SSH port: ${why}.`);
    }
    await sleep(clock, PAUSE_MS);
  }
}
