/**
 * Ends processes that outlived their session: what a renter put in the background, or what a killed agent left.
 * They are known by the HOME that their session gave them. One that changed its HOME is not found: this driver is
 * for demonstrations and does not wall renters off from the machine.
 */
import { readdir, readFile } from 'node:fs/promises';
import { sleep, type Clock } from '@dc/shared/clock';

const ROUNDS_MAX = 20; // A process that forks while it is looked for is met in the next round.
const ROUND_PAUSE_MS = 10;

/** Kills every process whose HOME is `folder` or inside it. Does nothing where there is no /proc. */
export async function killProcessesAtHome(folder: string, clock: Clock): Promise<void> {
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const pids = await processesAtHome(folder);
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
    await sleep(clock, ROUND_PAUSE_MS);
  }
}

async function processesAtHome(folder: string): Promise<number[]> {
  const names = await readdir('/proc').catch(() => []); // No /proc, no answer: the sessions themselves are ended anyway.
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const atHome = await Promise.all(pids.map((pid) => livesIn(pid, folder)));
  return pids.filter((pid, index) => atHome[index] === true && pid !== process.pid);
}

async function livesIn(pid: number, folder: string): Promise<boolean> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
    const home = environment.split('\0').find((entry) => entry.startsWith('HOME='));
    return home !== undefined && `${home}/`.startsWith(`HOME=${folder}/`);
  } catch {
    // It ended meanwhile, or belongs to somebody else and so not to a session of ours.
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself; the next round would say otherwise.
  }
}
