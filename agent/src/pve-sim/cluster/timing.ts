/** How long things take in a simulated cluster, in milliseconds. */

/** All durations; see QUICK and LIFELIKE for values. */
export interface Timing {
  /** A clone that shares its template's blocks. */
  readonly linkedCloneMs: number;
  readonly fullCloneMs: number;
  readonly createMs: number;
  readonly startMs: number;
  readonly stopMs: number;
  readonly destroyMs: number;
  readonly resizeMs: number;
  readonly snapshotMs: number;
  /** For each allocation the storage's lock is held this long; one at a time. */
  readonly storageLockMs: number;
  /** Who waits longer than this for a lock of a storage or a VM gives up. */
  readonly lockTimeoutMs: number;
  /** From the start until the guest has its address and its SSH server listens. */
  readonly bootMs: number;
  /** From the start until the guest agent answers. */
  readonly agentMs: number;
  /** From the power button until the guest is off. */
  readonly shutdownMs: number;
  /** How often the numbers and states in /cluster/resources are gathered; 0: they are always new. */
  readonly statisticsMs: number;
  /** For this long after a task began, its status is answered with 400. */
  readonly taskUnknownMs: number;
  /** For this long after a VM was made, calls about it say that it does not exist. */
  readonly vmUnknownMs: number;
}

/** For tests: everything takes a moment, so that what follows too early is noticed. */
export const QUICK: Timing = {
  linkedCloneMs: 20,
  fullCloneMs: 40,
  createMs: 10,
  startMs: 10,
  stopMs: 10,
  destroyMs: 10,
  resizeMs: 5,
  snapshotMs: 10,
  storageLockMs: 2,
  lockTimeoutMs: 10_000,
  bootMs: 30,
  agentMs: 40,
  shutdownMs: 20,
  statisticsMs: 0,
  taskUnknownMs: 0,
  vmUnknownMs: 0,
};

/** As on a small host with SSDs. */
export const LIFELIKE: Timing = {
  linkedCloneMs: 2_000,
  fullCloneMs: 25_000,
  createMs: 1_000,
  startMs: 1_000,
  stopMs: 800,
  destroyMs: 1_500,
  resizeMs: 400,
  snapshotMs: 1_500,
  storageLockMs: 300,
  lockTimeoutMs: 10_000,
  bootMs: 3_000,
  agentMs: 3_000,
  shutdownMs: 2_500,
  statisticsMs: 10_000,
  taskUnknownMs: 0,
  vmUnknownMs: 0,
};
