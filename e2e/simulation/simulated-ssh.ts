/** The SSH servers of a simulation's instances, as they look to an agent: host keys, banners and log-ins. */
import { AppError } from '@dc/shared/errors';
import type { LoginProbe } from '../../agent/src/guest-access/login-probe.ts';
import { MemoryProvisioner } from '../../agent/src/provisioners/memory/memory-provisioner.ts';
import type { MemoryObject } from '../../agent/src/provisioners/memory/memory-backend.ts';
import type { SshAccess } from '../../agent/src/provisioners/provisioner.ts';
import type { ProbeSsh } from '../../agent/src/sagas/saga-parts.ts';
import { NodeClock } from './virtual-time.ts';
import type { WatchedBackend } from './watched-backend.ts';
import type { World } from './world.ts';

/** Where the servers are. */
export interface SshParts {
  readonly world: World;
  readonly backend: WatchedBackend;
  readonly sealSecret: Uint8Array;
  /** Whether they answer now. */
  readonly answers: () => boolean;
}

/** The ports of an agent at this backend. What is tried as a password is noted: nobody may ever see it on the wire. */
export function simulatedSsh({ world, backend, sealSecret, answers }: SshParts) {
  const find = (port: number): MemoryObject | undefined =>
    answers() ? [...backend.objects.values()].find((object) => object.port === port) : undefined;
  const findGuest = ({ port }: SshAccess): MemoryObject => {
    const found = find(port);
    if (found?.power === 'running') return found;
    throw new AppError('INSTANCE_UNREACHABLE');
  };
  // Past the faults: those are for the agent's own calls.
  const driver = new MemoryProvisioner({
    backend: backend.withoutFaults(),
    clock: new NodeClock(world.time),
    sealSecret,
  });
  const probeSsh: ProbeSsh = async ({ port }, signal) => {
    const { instances } = answers() ? await driver.list(signal) : { instances: [] };
    const ssh = instances.find((instance) => instance.ssh?.port === port)?.ssh;
    if (ssh == null) return { answered: false, why: 'nothing listens on its SSH port' };
    return { answered: true, hostKeyFingerprint: ssh.hostKeyFingerprint };
  };
  const look = async ({ port }: { port: number }): Promise<number> => {
    if (find(port) === undefined) throw new AppError('INSTANCE_UNREACHABLE');
    return 2;
  };
  const loginProbe: LoginProbe = {
    async tryPassword(access, password) {
      world.secrets.add(password);
      const { login } = findGuest(access);
      return login?.user === access.user && login.password === password ? 'accepted' : 'refused';
    },
    async tryPublicKey(access, sshPublicKey) {
      const { spec, sshPublicKey: changed } = findGuest(access);
      return sshPublicKey === (changed ?? spec['sshPublicKey']) ? 'accepted' : 'refused';
    },
  };
  return { probeSsh, look, loginProbe };
}
