/**
 * A real, migrated database in a temporary folder for one test. It is removed afterwards, and kept, with its path
 * shown, when the test failed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import type { Clock } from '@dc/shared/clock';
import { systemClock } from '../../lib/system-clock.ts';
import { systemRandom } from '../../lib/system-random.ts';
import type { Database } from '../database.ts';
import { migrate } from '../migrate.ts';
import { MIGRATIONS } from '../migrations/index.ts';
import { openDatabase } from '../open-database.ts';

/** A database of a test, and its file for those who open it a second time. */
export interface TestDatabase extends Database {
  file: string;
}

/** The bytes of a migrated file: migrations run once for a test file, not once for each of its tests. */
let template: Buffer | undefined;

/** Opens a fresh database. Call it in a test or a beforeEach: it cleans up by itself. */
export async function openTestDatabase(options: { clock?: Clock } = {}): Promise<TestDatabase> {
  const { clock = systemClock } = options;
  const file = join(testFolder(), 'test.sqlite');
  const open = (): Database =>
    openDatabase({ file, clock, random: systemRandom, log: pino({ level: 'silent' }) });
  if (template === undefined) {
    const empty = open();
    await migrate(empty, clock, MIGRATIONS);
    await empty.close();
    template = readFileSync(file);
  }
  writeFileSync(file, template);
  const database = open();
  onTestFinished(() => database.close());
  return { ...database, file };
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
