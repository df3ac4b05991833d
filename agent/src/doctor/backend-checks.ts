/** The checks that the driver itself brings, with a scratch folder of their own. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { diagnoseBackend, type Diagnosis } from '../provisioners/registry.ts';
import type { DoctorParts, Findings } from './checks.ts';
import { readOffers } from './read-offers.ts';

/** Opens them; none where the configuration or the keys do not load, or the driver has none. */
export async function backendChecks(
  { clock, random, mayProbe, signal }: DoctorParts,
  { config, keys }: Findings,
): Promise<Diagnosis> {
  if (config === null || keys === null) return { checks: [], close: () => Promise.resolve() };
  const stateDir = mkdtempSync(join(tmpdir(), 'dc-doctor-'));
  const removeFolder = (): void => rmSync(stateDir, { recursive: true, force: true });
  try {
    const offers = await readOffers(config, { clock, random, signal });
    const { kind, options } = config.provisioner;
    const sealSecret = keys.sealSecret.reveal();
    const context = { clock, random, sealSecret, stateDir, offers, mayProbe, signal };
    const diagnosis = await diagnoseBackend(kind, options, context);
    const close = async (): Promise<void> => {
      await diagnosis.close();
      removeFolder();
    };
    return { checks: diagnosis.checks, close };
  } catch (error) {
    removeFolder();
    throw error;
  }
}
