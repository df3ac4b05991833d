/**
 * dc-agent over a backend that takes two seconds for an instance and makes eight at a time: what is beyond that waits
 * there in a queue. Everything else is the real thing: the agent as `dc-agent run` puts it together, its journal on disk,
 * the local driver's SSH servers. Every other command is dc-agent's own.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfig } from '../../agent/src/config/load-config.ts';
import { driverDir } from '../../agent/src/config/paths.ts';
import { loadKeys } from '../../agent/src/config/key-files.ts';
import { createLog } from '../../agent/src/lib/log.ts';
import { systemClock } from '../../agent/src/lib/system-clock.ts';
import { systemRandom } from '../../agent/src/lib/system-random.ts';
import type { CreateRequest, Instance, Provisioner } from '../../agent/src/provisioners/provisioner.ts';
import { openProvisioner } from '../../agent/src/provisioners/registry.ts';
import { createAgent } from '../../agent/src/wiring.ts';

/** How long the backend takes for one. */
export const CREATE_MS = 2_000;
/** How many it makes at a time. */
export const AT_A_TIME = 8;

/** The same backend, but slow to create. */
function slowedDown(inner: Provisioner): Provisioner {
  let busy = 0;
  const waiting: (() => void)[] = [];
  const create = async (request: CreateRequest, signal: AbortSignal): Promise<Instance> => {
    if (busy >= AT_A_TIME) await new Promise<void>((resolve) => waiting.push(resolve));
    else busy += 1;
    try {
      await delay(CREATE_MS, undefined, { signal });
      return await inner.create(request, signal);
    } finally {
      // The place goes to whoever is next.
      const next = waiting.shift();
      if (next === undefined) busy -= 1;
      else next();
    }
  };
  return new Proxy(inner, {
    get(target, name) {
      if (name === 'create') return create;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

async function run(configFile: string): Promise<void> {
  const config = await loadConfig(configFile);
  const keys = loadKeys(config.keyDir);
  const { kind, options } = config.provisioner;
  const [clock, random] = [systemClock, systemRandom];
  const sealSecret = keys.sealSecret.reveal();
  const stateDir = driverDir(config.stateDir, kind);
  const inner = await openProvisioner(kind, options, { clock, random, sealSecret, stateDir });
  const log = await createLog(config.logLevel);
  const agent = createAgent(config, { clock, random, log, keys, provisioner: slowedDown(inner) });
  process.once('SIGTERM', () => {
    void agent.drain().then(() => process.exit(0));
  });
  await agent.start();
}

if (import.meta.main) {
  if (process.argv[2] === 'run') await run(process.argv[4] ?? '');
  else await import('../../agent/src/main.ts');
}
