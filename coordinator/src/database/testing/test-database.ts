/**
 * A real, migrated database in a temporary folder for one test. It is removed afterwards, and kept, with its path
 * shown, when the test failed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import type { Database } from '../database.ts';
import { migrate } from '../migrate.ts';
import { MIGRATIONS } from '../migrations/index.ts';
import { openDatabase } from '../open-database.ts';
import type { OpenDatabaseOptions } from '../open-database.ts';

/** A database of a test, and its file for those who open it a second time. */
export interface TestDatabase extends Database {
  file: string;
}

/** The bytes of a migrated file: migrations run once for a test file, not once for each of its tests. */
let template: Buffer | undefined;

/** Opens a fresh database. Call it in a test or a beforeEach: it cleans up by itself. */
export async function openTestDatabase(
  options: Omit<Partial<OpenDatabaseOptions>, 'file'> = {},
): Promise<TestDatabase> {
  const file = join(testFolder(), 'test.sqlite');
  if (template === undefined) {
    const empty = openFile(file);
    await migrate(empty, systemClock, MIGRATIONS);
    await empty.close();
    template = readFileSync(file);
  }
  writeFileSync(file, template);
  return { ...openFile(file, options), file };
}

/** Opens a file as it is, for tests of more than one database on it. Closes it after the test. */
export function openFile(file: string, options: Omit<Partial<OpenDatabaseOptions>, 'file'> = {}): Database {
  const log = pino({ level: 'silent' });
  const database = openDatabase({ clock: systemClock, random: systemRandom, log, ...options, file });
  onTestFinished(() => database.close());
  return database;
}

/** A temporary folder that lives as long as the test, and longer when it failed. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dc-database-test-'));
  onTestFinished(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`kept for a look: ${folder}\n`);
    else rmSync(folder, { recursive: true });
  });
  return folder;
}
