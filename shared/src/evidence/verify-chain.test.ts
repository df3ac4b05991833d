import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SigningKey } from '../crypto/ed25519.ts';
import { hashJws, signJws } from '../crypto/jws.ts';
import { aKey, failureOf, flipBit } from '../testing/keys.ts';
import { CHAIN_START, signCheckpoint, signRecord, type RecordPayload } from './record.ts';
import { verifyEvidence } from './verify-chain.ts';

const coordinator = aKey('coordinator');

/** Writes one agent's chain as the coordinator exports it. */
class ChainWriter {
  readonly key: SigningKey;
  seq = 0;
  prev = CHAIN_START;

  constructor(name: string) {
    this.key = aKey(name);
  }

  record(changes: Partial<RecordPayload> = {}): string {
    this.seq += 1;
    const compact = signRecord(
      {
        seq: this.seq,
        prev: this.prev,
        at: new Date(1_763_640_000_000 + this.seq * 1000).toISOString(),
        environment: 'production',
        kind: this.seq % 2 === 0 ? 'health' : 'provisioned',
        contract_id: '017f22e2-79b0-7cc3-98c4-dc0c0c07398f',
        epoch: 1,
        data: { port: 20_000 + this.seq },
        ...changes,
      },
      this.key,
    );
    this.prev = hashJws(compact);
    return JSON.stringify({ record: compact });
  }

  checkpoint(key = coordinator): string {
    const receipt = {
      agent: this.key.publicKey,
      seq: this.seq,
      hash: this.prev,
      received_at: '2026-11-20T12:00:00.000Z',
    };
    return JSON.stringify({ checkpoint: signCheckpoint(receipt, key) });
  }
}

/** `count` records of one agent, with a checkpoint behind every `every`-th. */
function aChain(count: number, every: number, name = 'agent'): string[] {
  const writer = new ChainWriter(name);
  return Array.from({ length: count }).flatMap((_, index) => {
    const record = writer.record();
    return (index + 1) % every === 0 ? [record, writer.checkpoint()] : [record];
  });
}

/** The number of the record that each line of a chain is, or is about. */
const seqOfLines = (lines: readonly string[]): number[] => {
  let seq = 0;
  return lines.map((line) => (line.startsWith('{"record"') ? ++seq : seq));
};

/** The JWS inside a line. */
const compactOf = (line: string): string => Object.values(JSON.parse(line) as Record<string, string>)[0]!;

function failure(lines: Iterable<string>, coordinatorKey?: string): string {
  const [code, message] = failureOf(() => verifyEvidence(lines, coordinatorKey));
  expect(code).toBe('EVIDENCE_INVALID');
  return message;
}

const agentKey = aKey('agent').publicKey;
const fifty = aChain(50, 7);

describe('a file of 50 records and their checkpoints', () => {
  it('verifies, and is summed up', () => {
    expect(verifyEvidence(fifty)).toEqual({
      agents: [
        {
          agent: agentKey,
          records: 50,
          checkpoints: 7,
          head: hashJws(compactOf(fifty.at(-1)!)),
        },
      ],
      records: 50,
      checkpoints: 7,
    });
  });

  it('verifies under the key of its coordinator alone', () => {
    expect(verifyEvidence(fifty, coordinator.publicKey).checkpoints).toBe(7);
    expect(failure(fifty, aKey('other coordinator').publicKey)).toMatch(
      /^Line 8: the checkpoint of record 7 of agent [0-9a-f]{16} is signed by another coordinator\.$/,
    );
  });

  it('does not mind empty lines, and is the same with Windows’ line ends', () => {
    expect(verifyEvidence(['', ...fifty.map((line) => `${line}\r`), '', ' ']).records).toBe(50);
  });

  it('is fine when it is empty', () => {
    expect(verifyEvidence([])).toEqual({ agents: [], records: 0, checkpoints: 0 });
  });

  it('fails with one changed byte anywhere in any line, and names the record of that line', () => {
    const seqs = seqOfLines(fifty);
    for (const [number, line] of fifty.entries()) {
      // Some places spread over the line, others in every line, and the edges of its parts.
      const spread = Array.from({ length: 9 }, (_, index) => (index * 61 + number * 17) % line.length);
      const edges = [0, 3, 11, line.indexOf('.'), line.lastIndexOf('.'), line.length - 3, line.length - 1];
      for (const index of [...spread, ...edges]) {
        const changed = fifty.with(number, flipBit(line, index, (index + number) % 8));
        expect([index, failure(changed)]).toEqual([
          index,
          expect.stringMatching(new RegExp(`^Line ${number + 1}: .*record ${seqs[number]!}( of agent |\\b)`)),
        ]);
      }
    }
    // Hundreds of files are verified whole; a busy machine takes its time.
  }, 30_000);
});

describe('every byte of a short file', () => {
  const lines = aChain(3, 2);
  const seqs = seqOfLines(lines);

  it('has no bit that could be changed without its record being named', () => {
    for (const [number, line] of lines.entries()) {
      const name = new RegExp(`^Line ${number + 1}: .*record ${seqs[number]!}( of agent |\\b)`);
      for (let index = 0; index < line.length; index += 1) {
        const message = failure(lines.with(number, flipBit(line, index, index % 7)));
        expect([index, message]).toEqual([index, expect.stringMatching(name)]);
      }
    }
  });

  it('has no line end that could be changed without the record before it being named', () => {
    const text = lines.join('\n');
    for (let index = text.indexOf('\n'); index >= 0; index = text.indexOf('\n', index + 1)) {
      for (let bit = 0; bit < 7; bit += 1) {
        const number = text.slice(0, index).split('\n').length;
        const message = failure(flipBit(text, index, bit).split('\n'));
        expect(message).toMatch(new RegExp(`^Line ${number}: .*record ${seqs[number - 1]!}\\b`));
      }
    }
  });
});

describe('the order of the records', () => {
  const lines = aChain(10, 100);

  it('shows a record that was dropped', () => {
    expect(failure(lines.toSpliced(4, 1))).toMatch(
      /^Line 5: record 6 of agent [0-9a-f]{16} stands where record 5 should\.$/,
    );
    expect(failure(lines.slice(1))).toMatch(/^Line 1: record 2 .* stands where record 1 should\.$/);
  });

  it('shows two that were swapped', () => {
    expect(failure(lines.with(4, lines[5]!).with(5, lines[4]!))).toMatch(
      /^Line 5: record 6 .* stands where record 5 should\.$/,
    );
  });

  it('shows one that is there twice', () => {
    expect(failure(lines.toSpliced(4, 0, lines[3]!))).toMatch(
      /^Line 5: record 4 .* stands where record 5 should\.$/,
    );
  });

  it('shows a fork: another record with the same number', () => {
    const writer = new ChainWriter('agent');
    const first = writer.record();
    const forked = new ChainWriter('agent');
    const other = forked.record({ data: { port: 1 } });
    expect(failure([first, other])).toMatch(/^Line 2: record 1 .* stands where record 2 should\.$/);
    expect(failure([other, writer.record()])).toMatch(
      /^Line 2: record 2 .* does not link to the record before it\.$/,
    );
  });

  it('does not show what was cut off at the end, but a checkpoint behind it does', () => {
    const withCheckpoint = aChain(10, 10);
    expect(verifyEvidence(withCheckpoint.slice(0, 9)).records).toBe(9);
    expect(failure(withCheckpoint.toSpliced(9, 1))).toMatch(
      /^Line 10: the checkpoint of record 10 .* does not match the record\.$/,
    );
  });
});

describe('two agents in one file', () => {
  const [one, other] = [aChain(6, 2), aChain(6, 3, 'other agent')];
  const otherKey = aKey('other agent').publicKey;
  const interleaved = Array.from({ length: 9 }, (_, index) =>
    [one[index], other[index]].filter((line) => line !== undefined),
  ).flat();

  it('are two chains, in whatever order their lines come', () => {
    expect(
      verifyEvidence(interleaved).agents.map(({ agent, records, checkpoints }) => [
        agent,
        records,
        checkpoints,
      ]),
    ).toEqual([
      [agentKey, 6, 3],
      [otherKey, 6, 2],
    ]);
    expect(verifyEvidence([...other, ...one]).records).toBe(12);
  });

  it('are told apart when a byte of one is changed', () => {
    const seqs = new Map([
      ...one.map((line, index) => [line, seqOfLines(one)[index]!] as const),
      ...other.map((line, index) => [line, seqOfLines(other)[index]!] as const),
    ]);
    fc.assert(
      fc.property(fc.nat(interleaved.length - 1), fc.nat(), fc.nat(6), (number, position, bit) => {
        const line = interleaved[number]!;
        const message = failure(interleaved.with(number, flipBit(line, position % line.length, bit)));
        expect(message).toMatch(new RegExp(`^Line ${number + 1}: .*record ${seqs.get(line)!}\\b`));
      }),
      { numRuns: 400 },
    );
  });

  it('cannot lend each other a record or a checkpoint', () => {
    const stranger = new ChainWriter('other agent');
    stranger.seq = 1;
    stranger.prev = hashJws(compactOf(one[0]!));
    expect(failure([one[0]!, stranger.record()])).toMatch(/record 2 .* stands where record 1 should/);
    expect(failure([one[0]!, stranger.checkpoint()])).toMatch(/does not match the record/);
  });
});

describe('a line that is something else', () => {
  it.each([
    'null',
    '5',
    '[]',
    '{}',
    'true',
    '"record"',
    '{"record":5}',
    '{"record":null}',
    '{"checkpoint":{}}',
    '{"Record":"x"}',
    '{"record":"a.b.c","note":"unsigned words"}',
    '{"__proto__":"x"}',
    'PK\u0003\u0004',
    '<html>',
  ])('is refused: %s', (line) => {
    expect(failure([...aChain(2, 100), line])).toMatch(/^Line 3: .*record [23]\b.*\.$/);
    expect(failure([line])).toMatch(/^Line 1: .*record 1\b.*\.$/);
  });

  it('may not carry both a record and a checkpoint', () => {
    const [record, checkpoint] = aChain(1, 1).map((line) => JSON.parse(line) as object);
    expect(failure([JSON.stringify({ ...record, ...checkpoint })])).toContain('cannot be read');
  });

  it('may not be a JWS of another type', () => {
    const order = signJws('dc-order', { sub: 'x' }, aKey('agent'));
    expect(failure([JSON.stringify({ record: order })])).toContain('has no valid signature or form');
    expect(failure([JSON.stringify({ checkpoint: order })])).toContain('has no valid signature');
  });
});
