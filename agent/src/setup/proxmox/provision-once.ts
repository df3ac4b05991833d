/** The end of set-up: one instance that nobody can log in to, made through the real driver and destroyed again. */
import type { Clock } from '@dc/shared/clock';
import type { Random } from '@dc/shared/random';
import { loadKeys } from '../../config/key-files.ts';
import { loadConfig } from '../../config/load-config.ts';
import { testProvision, type Stage } from '../../doctor/test-provision.ts';
import { probeSshOn } from '../../health/probe-ssh.ts';
import type { ProxmoxOptions } from '../../provisioners/proxmox/proxmox-options.ts';
import { describeHostKey } from '../../provisioners/ssh-host-key.ts';

/** Any of the distributions' images fits on it. */
const SMALL = { title: '', cpu: 1, memoryMb: 1_024, diskGb: 12 };

/** Throws what the driver throws; the instance is destroyed all the same. `onStage` is told after each stage. */
export async function provisionOnce(
  configFile: string,
  { clock, random, onStage }: { clock: Clock; random: Random; onStage: (stage: Stage) => void },
): Promise<void> {
  const config = await loadConfig(configFile);
  const { templates = {} } = config.provisioner.options as ProxmoxOptions;
  await testProvision({
    clock,
    random,
    config,
    keys: loadKeys(config.keyDir),
    probeSsh: probeSshOn(clock),
    // A key without a private half.
    sshPublicKey: describeHostKey(random.bytes(32)).hostKey,
    operatingSystem: null,
    offers: [{ ...SMALL, operatingSystems: Object.keys(templates) }],
    signal: new AbortController().signal,
    onStage,
    whileUp: () => Promise.resolve(),
  });
}
