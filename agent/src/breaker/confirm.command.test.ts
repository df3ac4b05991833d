/** What the operator is shown and asked, from the journal of an agent that is off. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCli } from '../cli.ts';
import { renderConfig } from '../config/config-template.ts';
import { journalFile } from '../config/paths.ts';
import type { JournalWriter } from '../journal/journal.ts';
import { openJournal, openJournalReader } from '../journal/open-journal.ts';
import { anOrder, NOON } from '../journal/testing/builders.ts';
import { systemRandom } from '../lib/system-random.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { testWorld } from '../testing/test-world.ts';

const KEY = 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a';
const makeDir = tempDirs();
let stateDir: string;
let configFile: string;

beforeEach(async () => {
  const dir = await makeDir();
  stateDir = join(dir, 'state');
  configFile = join(dir, 'dc-agent.toml');
  await mkdir(stateDir);
  const text = renderConfig({
    coordinator: { url: 'http://127.0.0.1:1', public_keys: [KEY] },
    agent: {
      environment: 'test',
      provider_pubkey: KEY,
      pool_id: '01890000-0000-7000-8000-000000000000',
      state_dir: stateDir,
      key_dir: join(dir, 'keys'),
    },
    provisioner: { kind: 'local' },
  });
  await writeFile(configFile, text, { mode: 0o600 });
});

function write(work: (writer: JournalWriter) => void): void {
  const journal = openJournal(journalFile(stateDir), { random: systemRandom });
  journal.write('test', work);
  journal.close();
}

/** Releases that wait, one for each contract. */
function hold(...contractIds: string[]): void {
  write((writer) => {
    for (const contractId of contractIds) {
      const sagaId = `release of ${contractId}`;
      const order = anOrder({ kind: 'destroy', contractId });
      writer.saveOrder(order);
      const saga = { sagaId, contractId, name: 'release-instance', version: 1, orderId: order.orderId };
      writer.createSaga({ ...saga, input: {}, createdAt: NOON });
      const asked = { reason: 'expired', askedAt: NOON, allowedAt: null };
      writer.saveRelease({ sagaId, contractId, instanceIds: [`${contractId}.i`], ...asked });
    }
  });
}

function waiting(): string[] {
  const reader = openJournalReader(journalFile(stateDir));
  const ids = reader.pausedReleases().map(({ contractId }) => contractId);
  reader.close();
  return ids;
}

/** Runs a command on a terminal on which a person types these lines. */
async function run(argv: string[], typed: string[] = []) {
  const lines = [...typed];
  const clock = new ManualClock();
  await clock.advance(600_000);
  const readLine = async (): Promise<string> => lines.shift() ?? '';
  const world = testWorld({ clock, isTerminal: typed.length > 0, readLine });
  const exitCode = await runCli(['--config', configFile, ...argv], world);
  return { exitCode, out: world.printed(), err: world.complained() };
}

describe('confirm', () => {
  it('has nothing to do where nothing waits', async () => {
    write(() => undefined);
    expect(await run(['confirm'])).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining('Nothing waits') as string,
    });
  });

  it('shows what waits, and lets it go on when the number was typed', async () => {
    hold('c1', 'c2');
    const { exitCode, out } = await run(['confirm'], ['2']);
    expect(out).toMatch(/^c1 +c1\.i +10 min ago +expired$/m);
    expect(out).toContain('Confirmed: 2 of them go on.');
    expect([exitCode, waiting()]).toEqual([0, []]);
  });

  it.each([[['1']], [['yes']], [['']]])('lets nothing go on when %j was typed', async (typed) => {
    hold('c1', 'c2');
    expect(await run(['confirm'], typed)).toMatchObject({ exitCode: 2 });
    expect(waiting()).toEqual(['c1', 'c2']);
  });

  it('asks nobody in a script, and does nothing without --yes', async () => {
    hold('c1');
    expect((await run(['confirm'])).err).toContain('run it again with --yes');
    expect((await run(['confirm', '--json'], ['1'])).exitCode).toBe(2);
    expect(waiting()).toEqual(['c1']);
    const { out } = await run(['confirm', '--json', '--yes']);
    expect(JSON.parse(out)).toEqual({
      confirmed: 1,
      releases: [
        { contract_id: 'c1', instances: ['c1.i'], since: '2026-11-20T12:00:00.000Z', reason: 'expired' },
      ],
    });
    expect(waiting()).toEqual([]);
  });
});

describe('a release that is held back', () => {
  it('says so in why, status and doctor, with the command that helps', async () => {
    hold('c1');
    const why = JSON.parse((await run(['why', 'c1', '--json'])).out) as object;
    expect(why).toMatchObject({
      next_step: 'wait',
      blocked_by: { code: 'destruction_paused' },
      since: '2026-11-20T12:00:00.000Z',
      command: 'dc-agent confirm',
    });
    expect((await run(['status'])).out).toContain(
      'wait for you, the first since 10 min ago → dc-agent confirm',
    );
    const { checks } = JSON.parse((await run(['doctor', '--json'])).out) as { checks: { name: string }[] };
    expect(checks.find(({ name }) => name === 'releases')).toMatchObject({
      severity: 'warning',
      remedy: expect.stringContaining('dc-agent confirm') as string,
    });
  });
});

describe('an orphan', () => {
  const hour = 3_600_000;
  const orphan = {
    id: 'o.1',
    handle: { driver: 'local', version: 1, id: 'o.1' } as const,
    kind: 'orphan' as const,
    contractId: 'o',
    why: null,
    firstSeenAt: NOON - 2 * hour,
    lastSeenAt: NOON,
    timesSeen: 99,
    destroyAskedAt: null,
    goneAt: null,
  };

  it('is shown in status and doctor, and foreign ones are counted', async () => {
    write((writer) => {
      writer.saveUnaccounted(orphan);
      writer.saveUnaccounted({ ...orphan, id: 'f', kind: 'foreign', why: 'it was made elsewhere' });
    });
    expect((await run(['status'])).out).toContain('1 orphans are left alone → dc-agent orphans list');
    const { checks } = JSON.parse((await run(['doctor', '--json'])).out) as { checks: { name: string }[] };
    expect(checks.find(({ name }) => name === 'orphans')).toMatchObject({
      severity: 'warning',
      detail: expect.stringContaining('1 foreign instances') as string,
    });
  });

  it.each([[['no']], [['yes', 'o']], [['yes', '']]])('is kept when %j was typed', async (typed) => {
    write((writer) => writer.saveUnaccounted(orphan));
    const { exitCode, err } = await run(['orphans', 'destroy', 'o.1'], typed);
    expect([exitCode, err]).toEqual([2, expect.stringContaining('Nothing was destroyed.')]);
  });
});
