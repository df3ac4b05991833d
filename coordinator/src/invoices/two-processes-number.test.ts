/** Two coordinator processes that issue documents at the same time, of which a third is rolled back. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runProgram } from '../database/testing/run-program.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { problemOfDocuments } from './verify-documents.ts';

const PROGRAM = fileURLToPath(new URL('./testing/number-program.ts', import.meta.url));
const EACH = 150;
const TIMEOUT_MS = 60_000;

it(
  'two processes number without a gap, and without the same number twice',
  async () => {
    const { folder, context } = await startTestCoordinator();
    const programs = ['one', 'two'].map((name) => runProgram(PROGRAM, [folder, name, String(EACH)]));
    const done = (await Promise.all(programs.map(({ finished }) => finished))).map(
      (text) => (JSON.parse(text) as { kept: number }).kept,
    );
    expect(done).toEqual([(EACH * 2) / 3, (EACH * 2) / 3]);
    const rows = await context.db.read
      .selectFrom('documents')
      .select(['seq', 'body'])
      .orderBy('seq')
      .execute();
    expect(rows.map(({ seq }) => seq)).toEqual(
      Array.from({ length: (EACH * 4) / 3 }, (_, index) => index + 1),
    );
    // Both took part, in turns.
    const by = (name: string) => rows.filter(({ body }) => body.includes(`:${name}:`)).length;
    expect([by('one'), by('two')]).toEqual(done);
    expect(await problemOfDocuments(context.db.read)).toBeNull();
  },
  TIMEOUT_MS,
);
