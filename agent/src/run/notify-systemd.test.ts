import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { afterEach, describe, expect, it } from 'vitest';
import { readEnvironment } from '../config/environment.ts';
import { openJournal } from '../journal/open-journal.ts';
import { systemClock } from '../lib/system-clock.ts';
import { SILENT } from '../lib/log.ts';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { seededRandom } from '../testing/seeded-random.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { Contact } from './contact.ts';
import { notifySystemd, type Notice } from './notify-systemd.ts';
import { watchdogTurn } from './watchdog-loop.ts';

const makeDir = tempDirs();
const ending: (() => void)[] = [];
afterEach(() => {
  for (const end of ending.splice(0)) end();
});

const has = (program: string): boolean => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
const canNotify = has('systemd-notify') && has('perl');

/** A real datagram socket, as systemd has it: Node cannot make one, perl (always there on Debian) can. */
const RECEIVER = `
use Socket; $| = 1;
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
bind($socket, sockaddr_un($ARGV[0])) or die $!;
print "listening\\n";
while (defined(recv($socket, my $text, 4096, 0))) { $text =~ s/\\n/|/g; print "$text\\n"; }
`;

async function systemd() {
  const socket = join(await makeDir(), 'notify');
  const receiver = spawn('perl', ['-e', RECEIVER, socket]);
  ending.push(() => receiver.kill('SIGKILL'));
  let text = '';
  receiver.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  /** Everything that came so far; the barrier is how systemd-notify waits until it was read. */
  const heard = (): string[] =>
    text.split('\n').filter((line) => line !== '' && line !== 'listening' && !line.startsWith('BARRIER'));
  while (!text.includes('listening')) await new Promise((resolve) => setTimeout(resolve, 5));
  const environment = { notifySocket: socket, path: process.env['PATH'] ?? '' };
  return { environment, heard };
}

// Without systemd's own program there is nobody to notify either.
describe.skipIf(!canNotify)('systemd', () => {
  it('hears that we are ready, how we are, and that we stop', async () => {
    const { environment, heard } = await systemd();
    const notify = notifySystemd(environment, systemClock, (error) => {
      throw error;
    });
    await notify('READY=1', 'STATUS=2 running\nMAINPID=1');
    await notify('WATCHDOG=1');
    await notify('STOPPING=1');
    expect(heard()).toEqual(['READY=1|STATUS=2 running MAINPID=1', 'WATCHDOG=1', 'STOPPING=1']);
  });

  it('that does not listen is no reason to fail', async () => {
    const codes: string[] = [];
    const environment = { notifySocket: '/nonexistent/notify', path: process.env['PATH'] ?? '' };
    await notifySystemd(environment, systemClock, ({ code }) => void codes.push(code))('READY=1');
    expect(codes).toEqual(['COMMAND_FAILED']);
  });
});

describe('outside of systemd', () => {
  it('nothing is said', async () => {
    const environment = readEnvironment({ PATH: '/nonexistent' });
    await notifySystemd(environment, systemClock, (error) => {
      throw error;
    })('READY=1');
  });

  it('a watchdog that is meant for another process is not ours', () => {
    expect(readEnvironment({ WATCHDOG_USEC: '60000000' }).watchdogMs).toBe(60_000);
    expect(readEnvironment({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: String(process.pid) }).watchdogMs).toBe(
      60_000,
    );
    expect(readEnvironment({ WATCHDOG_USEC: '60000000', WATCHDOG_PID: '1' }).watchdogMs).toBeNull();
    expect(readEnvironment({ WATCHDOG_USEC: 'soon' }).watchdogMs).toBeNull();
  });
});

describe('the watchdog', () => {
  function watched() {
    const clock = new ManualClock();
    const disk = { isFull: false };
    const journal = openJournal(':memory:', {
      random: seededRandom(1),
      onWrite: (_label, moment) => {
        if (disk.isFull && moment === 'before') throw new AppError('DATABASE_FULL');
      },
    });
    ending.push(() => journal.close());
    const contact = new Contact({ journal, clock, log: SILENT });
    const said: Notice[][] = [];
    const turn = watchdogTurn({
      journal,
      contact,
      clock,
      log: SILENT,
      notify: async (...notices) => void said.push(notices),
      watchdogMs: 30_000,
      describe: () => 'fine',
    });
    return { clock, contact, said, journal, turn, disk };
  }
  const never = new AbortController().signal;

  it('is fed three times in its time, with the status only when that is news', async () => {
    const { turn, said } = watched();
    expect(await turn(never)).toBe(10_000);
    await turn(never);
    expect(said).toEqual([['WATCHDOG=1', 'STATUS=fine'], ['WATCHDOG=1']]);
  });

  it('is fed without contact, once the loss is written down', async () => {
    const { turn, said, clock, journal } = watched();
    await clock.advance(600_000);
    await turn(never);
    expect(said).toHaveLength(1);
    expect(journal.fact('contact_lost_at')).toBe(new Date(clock.now()).toISOString());
  });

  it('is not fed while the journal cannot be written', async () => {
    const { turn, said, disk } = watched();
    disk.isFull = true;
    expect(await turn(never)).toBe(10_000);
    expect(said).toEqual([]);
    disk.isFull = false;
    await turn(never);
    expect(said).toHaveLength(1);
  });
});
