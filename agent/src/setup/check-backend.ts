/**
 * Asks a backend how it is through a driver of its own with a scratch directory: before there is an agent, and
 * beside a running one, whose files it must not touch.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { Random } from '@dc/shared/random';
import type { Fingerprint, Provisioner } from '../provisioners/provisioner.ts';
import { openProvisioner } from '../provisioners/registry.ts';

/** A backend that does not answer within this is one that does not answer. */
const TIMEOUT_MS = 30_000;

export interface BackendChoice {
  readonly kind: string;
  readonly options: object;
  readonly sealSecret: Uint8Array;
}

/** Opens a driver with a scratch directory, hands it to `use`, and closes and removes both whatever happens. */
export async function withScratchDriver<T>(
  { kind, options, sealSecret }: BackendChoice,
  { clock, random }: { clock: Clock; random: Random },
  use: (provisioner: Provisioner) => Promise<T>,
): Promise<T> {
  const stateDir = mkdtempSync(join(tmpdir(), 'dc-agent-scratch-'));
  try {
    const provisioner = await openProvisioner(kind, options, { clock, random, sealSecret, stateDir });
    try {
      return await use(provisioner);
    } finally {
      await provisioner.close();
    }
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** How the backend is. PROVISIONER_UNAVAILABLE where it is not well, with its own words. */
export async function assertBackendHealthy(
  choice: BackendChoice,
  ports: { clock: Clock; random: Random },
): Promise<Fingerprint> {
  const deadline = new AbortController();
  const cancel = ports.clock.schedule(TIMEOUT_MS, () => deadline.abort());
  try {
    const fingerprint = await withScratchDriver(choice, ports, (driver) =>
      driver.fingerprint(deadline.signal),
    );
    if (!fingerprint.healthy) {
      throw new AppError('PROVISIONER_UNAVAILABLE', fingerprint.why, {
        remedy: 'Mend the backend, then try again.',
      });
    }
    return fingerprint;
  } finally {
    cancel();
  }
}
