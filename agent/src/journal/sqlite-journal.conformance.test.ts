import { join } from 'node:path';
import { expect, it } from 'vitest';
import { seededRandom } from '../testing/seeded-random.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { openJournal } from './open-journal.ts';
import { describeForgetting } from './testing/forgetting-conformance.ts';
import { describeJournal } from './testing/journal-conformance.ts';

const tempDir = tempDirs();
const random = seededRandom('journal');

describeJournal('The SQLite journal in a file', async () =>
  openJournal(join(await tempDir(), 'journal.db'), { random }),
);
describeForgetting('The history in the SQLite journal', async () => openJournal(':memory:', { random }));
describeJournal('The SQLite journal in memory', async () => openJournal(':memory:', { random }));

it('tells of every outermost write before and after, and of none within', () => {
  const seen: string[] = [];
  const journal = openJournal(':memory:', {
    random,
    onWrite: (label, moment) => seen.push(`${label} ${moment}`),
  });
  journal.write('outer', () => journal.write('inner', (writer) => writer.setFact('a', 'b')));
  journal.close();
  expect(seen).toEqual(['outer before', 'outer after']);
});
