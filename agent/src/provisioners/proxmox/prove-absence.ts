/**
 * Proves that a VMID is nobody's: the cluster has a quorum, so that what it says is new; it says of this very id that it
 * is free, which is not filtered by privileges; and nothing is unseen because we may not see it (I5).
 */
import type { Absent, Unknown } from '../provisioner.ts';
import type { PveCluster } from './pve-cluster.ts';
import { PveRefusal } from './pve-client.ts';
import { isAppError } from '@dc/shared/errors';

/** `absent` with its evidence, `unknown` with the reason, or `taken`: a guest has this VMID. */
export async function proveAbsence(
  cluster: PveCluster,
  vmid: number,
  signal: AbortSignal,
): Promise<Absent | Unknown | { readonly existence: 'taken' }> {
  try {
    if (!(await cluster.isQuorate(signal)))
      return { existence: 'unknown', reason: 'the cluster has no quorum: what it says may be old' };
    if (!(await cluster.isVmidFree(vmid, signal))) return { existence: 'taken' };
    return {
      existence: 'absent',
      evidence: `the cluster has a quorum and says that no guest has the VMID ${vmid}`,
    };
  } catch (error) {
    if (error instanceof PveRefusal && error.status === 403)
      return {
        existence: 'unknown',
        reason: 'the token may not see whether the cluster has a quorum: it lacks Sys.Audit on /',
      };
    if (error instanceof PveRefusal || isAppError(error, 'PROVISIONER_UNAVAILABLE'))
      return { existence: 'unknown', reason: 'the cluster does not answer as it should' };
    throw error;
  }
}
