/** How drivers stop when their signal is aborted. */
import { AppError } from '@dc/shared/errors';

/** Throws SAGA_ABORTED when the signal is aborted. Called where stopping leaves nothing half done. */
export function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new AppError('SAGA_ABORTED', undefined, { cause: signal.reason });
}
