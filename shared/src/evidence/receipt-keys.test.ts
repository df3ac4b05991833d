/** Evidence over rotations of the coordinator's key. */
import { describe, expect, it } from 'vitest';
import { hashJws } from '../crypto/jws.ts';
import { ROTATION_START, signKeyRotation, verifyKeyRotation } from '../key-rotation/key-rotation.ts';
import { aKey } from '../testing/keys.ts';
import { CHAIN_START, signCheckpoint, signRecord } from './record.ts';
import { verifyEvidence } from './verify-chain.ts';

const agent = aKey('agent');
const [first, second, third, thief] = ['1', '2', '3', 'thief'].map(aKey) as [
  ReturnType<typeof aKey>,
  ReturnType<typeof aKey>,
  ReturnType<typeof aKey>,
  ReturnType<typeof aKey>,
];
const NOON_S = Date.parse('2026-11-20T12:00:00.000Z') / 1000;
const step = (number: number, prev: string, hour: number) => ({
  environment: 'test',
  number,
  prev,
  iat: NOON_S + hour * 3600,
  starts: NOON_S + hour * 3600,
  ends: NOON_S + (hour + 1) * 3600,
});
const toSecond = signKeyRotation(step(1, ROTATION_START, 1), first, second);
const toThird = signKeyRotation(step(2, verifyKeyRotation(toSecond)!.hash, 11), second, third);
const rotations = [toSecond, toThird].map((rotation) => JSON.stringify({ rotation }));

/** One record a receipt, each by the key and at the hour given. */
function evidence(...receipts: (readonly [typeof first, number])[]): string[] {
  let prev = CHAIN_START;
  return receipts.flatMap(([key, hour], index) => {
    const payload = {
      seq: index + 1,
      prev,
      at: '2026-11-20T12:00:00.000Z',
      environment: 'test',
      kind: 'health' as const,
      contract_id: 'contract',
      epoch: 1,
      data: {},
    };
    const record = signRecord(payload, agent);
    prev = hashJws(record);
    const received_at = new Date((NOON_S + hour * 3600) * 1000).toISOString();
    const words = { agent: agent.publicKey, seq: index + 1, hash: prev, received_at };
    return [JSON.stringify({ record }), JSON.stringify({ checkpoint: signCheckpoint(words, key) })];
  });
}

describe('Evidence over rotations', () => {
  const lines = [
    ...rotations,
    ...evidence([first, 0], [first, 1.5], [second, 1.5], [second, 9], [third, 20]),
  ];

  it('verifies from whichever key of the chain one trusts', () => {
    for (const key of [undefined, first.publicKey, second.publicKey, third.publicKey])
      expect(verifyEvidence(lines, key)).toMatchObject({ records: 5, checkpoints: 5 });
  });

  it('does not verify for another coordinator’s key, nor without the announcements', () => {
    expect(() => verifyEvidence(lines, thief.publicKey)).toThrow('another coordinator');
    expect(() => verifyEvidence(lines.slice(2), first.publicKey)).toThrow('record 3');
  });

  it('takes no receipt of a key after its end or before its announcement', () => {
    expect(() => verifyEvidence([...rotations, ...evidence([first, 2])], first.publicKey)).toThrow(
      'its time',
    );
    expect(() => verifyEvidence([...rotations, ...evidence([second, 0.5])])).toThrow('its time');
  });

  it('takes no second successor of a key, and no announcement that one key did not sign', () => {
    const rival = JSON.stringify({ rotation: signKeyRotation(step(1, ROTATION_START, 2), first, thief) });
    expect(() => verifyEvidence([...rotations, rival])).toThrow('Line 3: the announcement');
    const broken = JSON.stringify({ rotation: `${toSecond.slice(0, -4)}AAAA` });
    expect(() => verifyEvidence([broken, ...evidence([first, 0])])).toThrow('Line 1: the announcement');
  });
});
