/** Debian's python3-proxmoxer, a client that is not ours, drives the simulator. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../lib/system-clock.ts';
import { systemRandom } from '../lib/system-random.ts';
import { startPveSimulator, type PveSimulator } from './start-pve-simulator.ts';

const SCRIPT = join(import.meta.dirname, 'testing', 'proxmoxer-rental.py');
let simulator: PveSimulator;
const folder = mkdtempSync(join(tmpdir(), 'dc-proxmoxer-'));

afterEach(async () => {
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('proxmoxer', () => {
  it('clones, configures, starts, asks the agent, stops and destroys', async () => {
    // Slow enough for a client on a busy machine to see what is before the agent.
    const timing = { agentMs: 1_500 };
    simulator = await startPveSimulator({ clock: systemClock, random: systemRandom, timing });
    await simulator.control.addVm({ vmid: 9000, name: 'debian-12', template: true });
    const ca = join(folder, 'ca.pem');
    writeFileSync(ca, simulator.certPem);
    // Debian's own Python: the package is for that one.
    const { stdout } = await promisify(execFile)('/usr/bin/python3', [SCRIPT], {
      env: { PVE_HOST: simulator.url.replace('https://', ''), PVE_TOKEN: simulator.rootToken, PVE_CA: ca },
      timeout: 30_000,
    });
    expect(JSON.parse(stdout)).toEqual({
      version: '8.4',
      nodes: ['pve1'],
      clone: 'OK',
      config: { ciuser: 'renter', cores: 2, tags: 'dc;python' },
      start: 'OK',
      'before the agent': '500 QEMU guest agent is not running',
      interfaces: ['lo', 'eth0'],
      hostname: 'by-proxmoxer',
      stop: 'OK',
      destroy: 'OK',
      after: `500 Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist`,
    });
  });
});
