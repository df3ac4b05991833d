/** Logging in to the instances of a simulation: with the password and the key that the backend has for them. */
import { AppError } from '@dc/shared/errors';
import type { LoginProbe } from '../../agent/src/guest-access/login-probe.ts';
import type { MemoryObject } from '../../agent/src/provisioners/memory/memory-backend.ts';
import type { SshAccess } from '../../agent/src/provisioners/provisioner.ts';
import type { WatchedBackend } from './watched-backend.ts';
import type { World } from './world.ts';

/** The port of an agent at this backend. What is tried as a password is noted: nobody may ever see it on the wire. */
export function simulatedLogin(
  { world, backend }: { readonly world: World; readonly backend: WatchedBackend },
  answers: () => boolean,
): LoginProbe {
  const findGuest = ({ port }: SshAccess): MemoryObject => {
    for (const object of backend.objects.values())
      if (object.port === port && object.power === 'running' && answers()) return object;
    throw new AppError('INSTANCE_UNREACHABLE');
  };
  return {
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
}
