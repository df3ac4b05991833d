/** What the built release uses while nothing happens, beside a Node that does nothing. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { buildRelease } from '../../installer/build-release.ts';
import { startSystem } from '../start-system.ts';
import { freePort, nextMessage, type Bench } from './bench.ts';
import { figure, type Figure } from './figure.ts';
import { readUsage } from './process-usage.ts';

const SETTLE_MS = 10_000;
const IDLE_MS = 60_000;
// The channel to us keeps it alive.
const BARE_NODE = "process.on('message', () => undefined); process.send('started')";

export const idle: Bench = {
  name: 'idle',
  about: 'memory and processor of the built release, idle for a minute',
  async run(run) {
    if (!existsSync('/proc/self/stat')) throw new Error('this needs /proc, which only Linux has');
    run.progress('building the release');
    const release = run.folder();
    await buildRelease(release);
    const system = await startSystem({
      port: await freePort(),
      dataDir: run.folder(),
      programs: {
        coordinator: path.join(release, 'coordinator', 'bin', 'dc-coordinator'),
        agent: path.join(release, 'agent', 'bin', 'dc-agent'),
      },
    });
    run.onEnd(() => system.stop());
    const bare = run.start('--eval', [BARE_NODE]);
    await nextMessage(bare);
    await delay(SETTLE_MS);
    const pids = { agent: pidOf(system.agent), coordinator: pidOf(system.coordinator), bare: pidOf(bare) };
    run.progress('a minute of nothing');
    const before = { agent: readUsage(pids.agent), coordinator: readUsage(pids.coordinator) };
    await delay(IDLE_MS);
    const bareMb = readUsage(pids.bare).residentMb;
    const figuresOf = (name: 'agent' | 'coordinator', atMostMb: number): Figure[] => {
      const after = readUsage(pids[name]);
      const cpuPercent = ((after.cpuSeconds - before[name].cpuSeconds) * 100_000) / IDLE_MS;
      return [
        figure(`${name}: resident`, 'MB', after.residentMb, { target: { atMost: atMostMb }, floor: bareMb }),
        figure(`${name}: of a core`, '%', cpuPercent, { target: { atMost: 0.5 } }),
      ];
    };
    return [...figuresOf('agent', 100), ...figuresOf('coordinator', 140)];
  },
};

function pidOf({ pid }: { pid?: number | undefined }): number {
  if (pid === undefined) throw new Error('a process of the benchmark did not start');
  return pid;
}
