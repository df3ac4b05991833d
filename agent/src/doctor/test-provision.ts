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
import type { Handle, Instance, InstanceSpec, Provisioner, SshAccess } from '../provisioners/provisioner.ts';
import type { MadeStage } from '../provisioners/made-stages.ts';
import type { Offer } from '../provisioners/registry.ts';
import type { ProbeSsh } from '../sagas/saga-parts.ts';
import { withScratchDriver } from '../setup/check-backend.ts';

const PAUSE_MS = 100;
/** What its seal has in the place of the environment: an agent beside us sees a foreign instance, and leaves it alone. */
const TEST_ENVIRONMENT = 'test-provision';

export interface TestProvisionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly probeSsh: ProbeSsh;
  readonly config: Config;
  readonly keys: AgentKeys;
  readonly sshPublicKey: string;
  /** What to make. Null: the smallest thing that is sold, or a small one. */
  readonly operatingSystem: string | null;
  /** What is sold; null where that is not known. */
  readonly offers: readonly Offer[] | null;
  /** The operator wants no more: what was made goes at once. */
  readonly signal: AbortSignal;
  /** Told after each stage. */
  readonly onStage: (stage: Stage) => void;
  /** Called with the way in once it works; the instance goes when this resolves. */
  readonly whileUp: (ssh: SshAccess) => Promise<void>;
}

/** How long something took. */
export interface Stage {
  readonly name: string;
  readonly durationMs: number;
  /** What the backend warned of. */
  readonly warnings?: readonly string[];
}

/** Does it. Throws what the driver throws, or SAGA_ABORTED; the instance is destroyed all the same. */
export async function testProvision(parts: TestProvisionParts): Promise<Stage[]> {
  const { config, keys, clock, random, onStage, signal } = parts;
  const stages: Stage[] = [];
  const tell = (stage: Stage): void => {
    stages.push(stage);
    onStage(stage);
  };
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    const startedAt = clock.monotonic();
    const result = await work();
    tell({ name, durationMs: clock.monotonic() - startedAt });
    return result;
  };
  const { kind, options } = config.provisioner;
  const choice = { kind, options, sealSecret: keys.sealSecret.reveal() };
  await withScratchDriver(choice, { clock, random }, async (driver) => {
    const contractId = newUuid(clock, random);
    const seal = makeSeal(choice.sealSecret, { contractId, environment: TEST_ENVIRONMENT });
    const fingerprint = await timed('fingerprint', () => driver.fingerprint(signal));
    if (!fingerprint.healthy) throw new AppError('PROVISIONER_UNAVAILABLE', fingerprint.why);
    const request = { contractId, seal, spec: specOf(parts, contractId), token: toHex(random.bytes(16)) };
    let handle: Handle | null = null;
    try {
      const tellPart = ({ name, startedAt, endedAt, warnings = [] }: MadeStage): void =>
        tell({ name: `- ${name.replaceAll('_', ' ')}`, durationMs: endedAt - startedAt, warnings });
      const made = await timed('create', () => driver.create(request, signal, tellPart));
      handle = made.handle;
      const access = await timed('ssh answers', () => waitForSsh(driver, made, parts));
      await parts.whileUp(access);
    } finally {
      await timed('destroy', () => destroyMade(driver, { contractId, handle, seal }));
    }
    const { existence } = await timed('proof of absence', () => driver.inspect(handle, lasting()));
    if (existence !== 'absent')
      throw new AppError('PROVISIONER_FAILED', `After destroying it is ${existence}.`);
  });
  return stages;
}

/** Destroys what was made, also when nobody knows how far its making came. */
async function destroyMade(
  driver: Provisioner,
  { contractId, handle, seal }: { contractId: string; handle: Handle | null; seal: string },
): Promise<void> {
  const found =
    handle ?? (await driver.list(lasting())).instances.find((each) => each.contractId === contractId)?.handle;
  if (found !== undefined) await driver.destroy(found, seal, lasting());
}

/** Taking away is not interrupted: drivers have deadlines of their own. */
const lasting = (): AbortSignal => new AbortController().signal;

/** The smallest offering of the operating system, or something small enough for any backend. */
function specOf(
  { offers, operatingSystem, sshPublicKey }: TestProvisionParts,
  contractId: string,
): InstanceSpec {
  const fitting = (offers ?? []).filter(
    ({ operatingSystems }) => operatingSystem === null || operatingSystems.includes(operatingSystem),
  );
  const [offer = SMALL] = fitting.sort((one, other) => one.memoryMb - other.memoryMb);
  return {
    cpu: offer.cpu,
    memoryMb: offer.memoryMb,
    diskGb: offer.diskGb,
    operatingSystem: operatingSystem ?? offer.operatingSystems[0] ?? SMALL.operatingSystems[0] ?? '',
    sshPublicKey,
    hostname: `dc-test-${contractId.slice(-8)}`,
  };
}

const SMALL: Offer = { title: '', cpu: 1, memoryMb: 512, diskGb: 5, operatingSystems: ['debian-12'] };

async function waitForSsh(
  driver: Provisioner,
  { handle, ssh: known }: Instance,
  { clock, probeSsh, config, signal }: TestProvisionParts,
): Promise<SshAccess> {
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
    await sleep(clock, PAUSE_MS, signal).catch(() => {
      throw new AppError('SAGA_ABORTED', 'It was interrupted.', { cause: signal.reason });
    });
  }
}
