/**
 * PURE: whether new work is handed back at once because it could only fail here. Declining is not failing: another
 * agent of the pool may serve it.
 */
import type { OrderKind } from '@dc/shared/orders/order';
import type { ContractView, ReturnCode } from '../journal/journal.ts';
import type { Fingerprint } from '../provisioners/provisioner.ts';

/** How things stand here. */
export interface Conditions {
  /** Null before the backend was looked at. */
  readonly fingerprint: Fingerprint | null;
  /** Null where the disk cannot be asked. */
  readonly diskFreeBytes: number | null;
  readonly diskFreeBytesMin: number;
  /** Whether the operator lets new work come (availability/). */
  readonly takesNewWork: boolean;
}

/** Why an order goes back; null where it is taken. */
export function decideDecline(
  kind: OrderKind,
  view: ContractView | null,
  { fingerprint, diskFreeBytes, diskFreeBytesMin, takesNewWork }: Conditions,
): { code: ReturnCode; detail: string } | null {
  // Only what would be new: work that was begun here goes on here, and everything else is about what we made.
  if (kind !== 'provision' || (view !== null && view.sagas.length > 0)) return null;
  if (!takesNewWork) return { code: 'maintenance', detail: 'This agent takes no new work now.' };
  if (fingerprint?.healthy === false) {
    return { code: 'backend_unavailable', detail: 'The backend of this agent does not answer now.' };
  }
  if (fingerprint?.freeCapacity?.instances === 0) {
    return { code: 'capacity', detail: 'The backend of this agent has no room for another instance.' };
  }
  // An agent that cannot write its journal down takes every order and finishes none.
  if (diskFreeBytes !== null && diskFreeBytes < diskFreeBytesMin) {
    return { code: 'maintenance', detail: 'The disk of this agent is almost full.' };
  }
  return null;
}
