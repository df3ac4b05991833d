import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAppError } from '@dc/shared/errors';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../testing/seeded-random.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import type { Journal } from './journal.ts';
import { JOURNAL_VERSION } from './migrations.ts';
import { openJournal, openJournalReader } from './open-journal.ts';
import { anOrder, CONTRACT_ID } from './testing/builders.ts';

const tempDir = tempDirs();
const random = seededRandom('open');
const open = (path: string): Journal => openJournal(path, { random });
const newPath = async (): Promise<string> => join(await tempDir(), 'journal.db');

/** A closed journal with enough in it to be worth damaging. */
async function filledJournal(): Promise<string> {
  const path = await newPath();
  const journal = open(path);
  for (let index = 0; index < 200; index += 1) {
    journal.write('fill', (writer) => writer.saveOrder(anOrder({ contractId: `contract-${String(index)}` })));
  }
  journal.close();
  return path;
}

function codeOf(action: () => unknown): string {
  try {
    action();
    return 'no error';
  } catch (error) {
    if (isAppError(error)) return error.code;
    throw error;
  }
}

describe('Opening the journal', () => {
  it('makes a whole file that only its owner can read, with an id that stays', async () => {
    const path = await newPath();
    const first = open(path);
    const { journalId } = first;
    expect(journalId).toMatch(/^[0-9a-f]{32}$/);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600);
    first.close();
    const second = open(path);
    expect(second.journalId).toBe(journalId);
    second.close();
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  it('takes no notice of a half-made file that a crash left behind', async () => {
    const path = await newPath();
    writeFileSync(`${path}.new`, 'half made');
    open(path).close();
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  it('has written a commit to its files when write returns', async () => {
    const path = await newPath();
    const journal = open(path);
    journal.write('t', (writer) => writer.setFact('a', 'b'));
    const wal = readFileSync(`${path}-wal`);
    expect(wal.includes('b')).toBe(true);
    journal.close();
  });

  it('says where the folder is missing', async () => {
    const path = join(await tempDir(), 'nowhere', 'journal.db');
    expect(codeOf(() => open(path))).toBe('DATABASE_UNUSABLE');
  });
});

describe('A damaged journal', () => {
  it('is refused when it was cut off to nothing', async () => {
    const path = await filledJournal();
    truncateSync(path, 0);
    expect(codeOf(() => open(path))).toBe('JOURNAL_CORRUPT');
    expect(statSync(path).size).toBe(0);
  });

  it('is refused when it was cut in half', async () => {
    const path = await filledJournal();
    truncateSync(path, Math.floor(statSync(path).size / 2));
    expect(codeOf(() => open(path))).toBe('JOURNAL_CORRUPT');
  });

  it('is refused when pages were overwritten, and left as it is', async () => {
    const path = await filledJournal();
    const bytes = readFileSync(path);
    bytes.fill(0xaa, 4096 * 4, 4096 * 20);
    writeFileSync(path, bytes);
    expect(codeOf(() => open(path))).toBe('JOURNAL_CORRUPT');
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  it('is refused when it is another file altogether, or another program’s database', async () => {
    const path = await newPath();
    writeFileSync(path, 'not a database at all, but long enough to look at'.repeat(40));
    expect(codeOf(() => open(path))).toBe('JOURNAL_CORRUPT');
    const foreign = await newPath();
    new Database(foreign).exec('CREATE TABLE mine (x)').close();
    expect(codeOf(() => open(foreign))).toBe('JOURNAL_CORRUPT');
    expect(codeOf(() => openJournalReader(foreign))).toBe('JOURNAL_CORRUPT');
  });

  it('is refused when the file is gone and its log is left', async () => {
    const path = await newPath();
    writeFileSync(`${path}-wal`, 'left behind');
    expect(codeOf(() => open(path))).toBe('JOURNAL_CORRUPT');
  });

  it('lets the lock go, so that a mended one can be opened', async () => {
    const path = await filledJournal();
    const whole = readFileSync(path);
    truncateSync(path, 0);
    expect(codeOf(() => open(path))).toBe('JOURNAL_CORRUPT');
    writeFileSync(path, whole);
    open(path).close();
  });

  it('loses at most the last write when its log was torn, wherever the tear is', async () => {
    const path = await newPath();
    const journal = open(path);
    const epochs = [1, 2, 3, 4];
    for (const epoch of epochs) {
      journal.write('t', (writer) => {
        writer.saveOrder(anOrder({ epoch }));
        writer.setFact('last', String(epoch));
      });
    }
    const size = statSync(`${path}-wal`).size;
    const seen = new Set<number>();
    // What a power cut leaves: the database as it was checkpointed last, and some of the log.
    const tears = [...Array(Math.ceil(size / 1500)).keys()].map((index) => index * 1500);
    for (const keep of [...tears, size - 1, size]) {
      const copy = await newPath();
      copyFileSync(path, copy);
      copyFileSync(`${path}-wal`, `${copy}-wal`);
      truncateSync(`${copy}-wal`, keep);
      const reopened = open(copy);
      const held = reopened.contract(CONTRACT_ID)?.orders.map(({ epoch }) => epoch) ?? [];
      expect(held).toEqual(epochs.slice(0, held.length));
      expect(reopened.fact('last')).toBe(held.length === 0 ? null : String(held.length));
      seen.add(held.length);
      reopened.close();
    }
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4]);
    journal.close();
  });
});

describe('A journal of another version', () => {
  const setVersion = (path: string, version: number): void => {
    const db = new Database(path);
    db.pragma(`user_version = ${String(version)}`);
    db.close();
  };

  it('is refused when it is newer, and nothing is changed', async () => {
    const path = await filledJournal();
    setVersion(path, JOURNAL_VERSION + 1);
    const before = readFileSync(path);
    expect(codeOf(() => open(path))).toBe('DATABASE_NEWER');
    expect(codeOf(() => openJournalReader(path))).toBe('DATABASE_NEWER');
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('is not read before a newer daemon has brought it up to date', async () => {
    const path = await filledJournal();
    setVersion(path, JOURNAL_VERSION - 1);
    expect(codeOf(() => openJournalReader(path))).toBe('DATABASE_OLDER');
  });
});

describe('Two processes and one journal', () => {
  it('refuses the second opener and names the first', async () => {
    const path = await newPath();
    const first = open(path);
    expect(() => open(path)).toThrow(`Process ${String(process.pid)} holds the journal`);
    expect(codeOf(() => open(path))).toBe('DATABASE_LOCKED');
    first.close();
    open(path).close();
  });

  it('lets others read what is committed while one writes, and after it has ended', async () => {
    const path = await newPath();
    const journal = open(path);
    const reader = openJournalReader(path);
    journal.write('t', (writer) => {
      writer.saveOrder(anOrder());
      expect(reader.contract(CONTRACT_ID)).toBeNull();
    });
    expect(reader.contract(CONTRACT_ID)).not.toBeNull();
    reader.close();
    journal.close();
    const later = openJournalReader(path);
    expect(later.contract(CONTRACT_ID)).not.toBeNull();
    later.close();
  });

  it('says that there is no journal to read', async () => {
    const path = await newPath();
    expect(codeOf(() => openJournalReader(path))).toBe('JOURNAL_MISSING');
  });

  it('is held by another process, and not fooled by what kill -9 leaves of it', async () => {
    const path = await newPath();
    const holder = await startHolder(path);
    try {
      expect(codeOf(() => open(path))).toBe('DATABASE_LOCKED');
      const reader = openJournalReader(path);
      expect(reader.fact('holder')).toBe('was here');
      reader.close();
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    const journal = open(path);
    expect(journal.fact('holder')).toBe('was here');
    journal.close();
  });
});

/** A process that opens the journal, writes to it, and holds it until it is killed. */
async function startHolder(path: string): Promise<ChildProcess> {
  const module = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);
  const program = `
    const { openJournal } = await import(${module('./open-journal.ts')});
    const { systemRandom } = await import(${module('../lib/system-random.ts')});
    const journal = openJournal(${JSON.stringify(path)}, { random: systemRandom });
    journal.write('holder', (writer) => writer.setFact('holder', 'was here'));
    process.stdout.write('held');
    setInterval(() => undefined, 60_000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}
