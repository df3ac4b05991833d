/** The doctor's own look at the cluster, before the setup token is spent: each privilege is tried on a VM of its own. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseSetupToken } from '@dc/shared/delegation/setup-token';
import { diagnoseBackend } from '../../provisioners/registry.ts';
import { optionsOf } from './agent-steps.ts';
import type { SetupContext } from './setup-context.ts';
import type { Step } from './step.ts';

/** Throws what the first check that fails throws. Where there is a configuration already, `doctor` is for that. */
export function diagnosisStep(context: SetupContext, readToken: () => Promise<string>): Step {
  const { plan, clock, random, signal } = context;
  let isPassed = existsSync(plan.output);
  return {
    title: 'Diagnosis',
    find: () =>
      Promise.resolve(
        isPassed
          ? { detail: 'the agent finds what it needs', actions: [] }
          : {
              detail: 'not yet',
              actions: [
                { line: 'try everything that the agent needs, each privilege on a VM', run: diagnose },
              ],
            },
      ),
  };

  async function diagnose(): Promise<void> {
    const { sealSecret } = parseSetupToken(await readToken());
    const stateDir = mkdtempSync(join(tmpdir(), 'dc-agent-diagnosis-'));
    try {
      const shared = { clock, random, sealSecret, stateDir, signal };
      const diagnosis = await diagnoseBackend('proxmox', await optionsOf(context), {
        ...shared,
        offers: null,
        mayProbe: true,
      });
      try {
        for (const check of diagnosis.checks) await check.run();
      } finally {
        await diagnosis.close();
      }
    } finally {
      rmSync(stateDir, { recursive: true, force: true });
    }
    isPassed = true;
  }
}
