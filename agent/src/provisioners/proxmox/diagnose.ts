/** What the doctor looks at where the backend is Proxmox. Each check needs what the ones before it have found. */
import type { Diagnosis, DiagnosisContext } from '../registry.ts';
import { clusterChecks } from './check-cluster.ts';
import { privilegeChecks } from './check-privileges.ts';
import { templateChecks } from './check-templates.ts';
import type { DiagnosisParts } from './diagnosis-parts.ts';
import type { Check } from '../../lib/check.ts';
import { proxmoxSettingsOf, type ProxmoxOptions } from './proxmox-options.ts';
import { PveCluster } from './pve-cluster.ts';
import { openClient, readToken } from './open-client.ts';
import { translateRefusal } from './translate-refusal.ts';

/** The checks. Throws KEY_FILE_UNSAFE or KEY_FILE_INVALID for the token file. */
export function diagnoseProxmox(options: ProxmoxOptions, context: DiagnosisContext): Diagnosis {
  const { clock, random, sealSecret, stateDir, offers, signal, mayProbe } = context;
  const [tokenId = ''] = readToken(options.token_file).split('=');
  const client = openClient(options, clock);
  const parts: DiagnosisParts = {
    cluster: new PveCluster(client),
    settings: proxmoxSettingsOf(options),
    clock,
    random,
    sealSecret,
    stateDir,
    tokenId,
    offers,
    signal,
    seen: { major: null, resources: null, templates: [] },
  };
  const all = [...clusterChecks(parts), ...templateChecks(parts), ...privilegeChecks(parts, mayProbe)];
  return { checks: all.map(inOurWords), close: () => client.close() };
}

const inOurWords = (check: Check): Check => ({
  name: check.name,
  run: async () => {
    try {
      return await check.run();
    } catch (error) {
      throw translateRefusal(error);
    }
  },
});
