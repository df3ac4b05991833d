/** root@pam at the API of a simulator: gives it a password, and logs in with it at the first call. */
import type { Clock } from '@dc/shared/clock';
import type { PveSimulator } from '../start-pve-simulator.ts';
import { ApiSession } from './api-session.ts';

const PASSWORD = 'simulated';

/** The session. Close it before the simulator. */
export function openRootSession(simulator: PveSimulator, clock: Clock): ApiSession {
  const root = simulator.control.cluster.access.users.get('root@pam');
  if (root === undefined) throw new Error('There is no root@pam.');
  root.password = PASSWORD;
  return new ApiSession({ simulator, password: PASSWORD }, clock);
}
