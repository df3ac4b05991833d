/** `dc-agent verify-evidence`: checks an exported chain of records offline. */
import { closeSync, openSync, readSync } from 'node:fs';
import { AppError } from '@dc/shared/errors';
import { PUBLIC_KEY_PATTERN } from '@dc/shared/crypto/public-key';
import { verifyEvidence } from '@dc/shared/evidence/verify-chain';
import { flagOption, textOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { renderTable } from '../lib/render-table.ts';

const CHUNK_BYTES = 65_536;
/** A record has at most 16 kB. */
const LINE_CHARS_MAX = 100_000;

export const verifyEvidenceCommand: Command = {
  name: 'verify-evidence',
  summary: 'check an exported evidence file offline',
  description:
    'Checks signatures, sequence and chain of the records and checkpoints in a file from ' +
    'GET /providers/{pubkey}/evidence, and names the first record that fails. Needs no network. Exits with 1 where ' +
    'something is wrong.',
  args: [{ flags: '<file>', description: 'the file, or - for standard input' }],
  options: [
    {
      flags: '--coordinator-key <key>',
      description: 'take only checkpoints that this coordinator key has signed',
    },
    { flags: '--json', description: 'print JSON' },
  ],
  async run(input, world) {
    const file = input.args[0] ?? '-';
    const key = textOption(input, 'coordinatorKey');
    if (key !== null && !new RegExp(PUBLIC_KEY_PATTERN).test(key)) {
      throw new AppError('COMMAND_USAGE', 'A coordinator key is 64 hex digits.');
    }
    const summary = verifyEvidence(readLines(file), key ?? undefined);
    if (summary.records === 0) {
      throw new AppError('EVIDENCE_INVALID', 'There is no record in it: it proves nothing.', {
        remedy:
          'Was it saved whole? A provider whose agents have reported nothing yet has no evidence either.',
      });
    }
    if (flagOption(input, 'json')) {
      world.print(JSON.stringify({ valid: true, ...summary }));
      return EXIT.ok;
    }
    const { agents, records, checkpoints } = summary;
    const count = (n: number, word: string): string => `${String(n)} ${word}${n === 1 ? '' : 's'}`;
    world.print(
      `Valid: ${count(records, 'record')} of ${count(agents.length, 'agent')}, ${count(checkpoints, 'checkpoint')}.`,
    );
    const rows = agents.map((agent) => [
      agent.agent,
      String(agent.records),
      String(agent.checkpoints),
      agent.head,
    ]);
    for (const line of renderTable([['AGENT', 'RECORDS', 'CHECKPOINTS', 'HEAD'], ...rows])) world.print(line);
    return EXIT.ok;
  },
};

/** The lines of a file, read piece by piece: a chain of years does not have to fit into memory. */
function* readLines(file: string): Generator<string> {
  const fd = openFile(file);
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(CHUNK_BYTES);
  let rest = '';
  try {
    for (let bytes = readSync(fd, chunk); bytes > 0; bytes = readSync(fd, chunk)) {
      const lines = (rest + decoder.decode(chunk.subarray(0, bytes), { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > LINE_CHARS_MAX)
        throw new AppError('EVIDENCE_INVALID', 'This is not a file of evidence.');
      yield* lines;
    }
    yield rest;
  } finally {
    if (fd !== 0) closeSync(fd);
  }
}

function openFile(file: string): number {
  if (file === '-') return 0;
  try {
    return openSync(file, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError('COMMAND_USAGE', `${file} cannot be read (${code}).`, { cause: error });
  }
}
