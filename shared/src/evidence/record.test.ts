import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashJws, signJws } from '../crypto/jws.ts';
import { aKey, flipBit } from '../testing/keys.ts';
import {
  CHAIN_START,
  RECORD_KINDS,
  signCheckpoint,
  signRecord,
  verifyCheckpoint,
  verifyRecord,
  type RecordPayload,
} from './record.ts';

const agent = aKey('agent');
const coordinator = aKey('coordinator');

const payload: RecordPayload = {
  seq: 1,
  prev: CHAIN_START,
  at: '2026-11-20T12:00:00.000Z',
  environment: 'production',
  kind: 'provisioned',
  contract_id: '017f22e2-79b0-7cc3-98c4-dc0c0c07398f',
  epoch: 1,
  data: { host: '127.0.0.1', port: 2222 },
};

describe('a record', () => {
  it('says what its agent said, and the hash that the next one links to', () => {
    const compact = signRecord(payload, agent);
    expect(verifyRecord(compact)).toEqual({
      agent: agent.publicKey,
      payload,
      hash: hashJws(compact),
      compact,
    });
  });

  it.each(RECORD_KINDS)('may be of the kind %s', (kind) => {
    expect(verifyRecord(signRecord({ ...payload, kind }, agent))?.payload.kind).toBe(kind);
  });

  it.each(['2026-11-20T12:00:00Z', '2026-11-20T12:00:00.123456Z', '2026-11-20T13:00:00+01:00'])(
    'may be of %s',
    (at) => {
      expect(verifyRecord(signRecord({ ...payload, at }, agent))?.payload.at).toBe(at);
    },
  );

  it.each<[string, Record<string, unknown>]>([
    ['no number', { seq: undefined }],
    ['the number 0', { seq: 0 }],
    ['a negative number', { seq: -1 }],
    ['a fraction as number', { seq: 1.5 }],
    ['a text as number', { seq: '1' }],
    ['a number beyond 2^53', { seq: 2 ** 53 }],
    ['no link', { prev: undefined }],
    ['a link in capitals', { prev: 'A'.repeat(64) }],
    ['a short link', { prev: '0' }],
    ['no time', { at: undefined }],
    ['a number as time', { at: 5 }],
    ['a time without a zone', { at: '2026-11-20T12:00:00' }],
    ['a time that never was', { at: '2026-13-20T12:00:00.000Z' }],
    ['a word as time', { at: 'May' }],
    ['no environment', { environment: '' }],
    ['an endless environment', { environment: 'x'.repeat(65) }],
    ['an unknown kind', { kind: 'sold' }],
    ['no contract', { contract_id: undefined }],
    ['a negative epoch', { epoch: -1 }],
    ['no epoch', { epoch: undefined }],
    ['no data', { data: undefined }],
    ['null as data', { data: null }],
    ['a list as data', { data: [] }],
    ['a member more', { extra: 1 }],
  ])('with %s is refused', (_name, changes) => {
    expect(verifyRecord(signRecord({ ...payload, ...changes }, agent))).toBeNull();
  });

  it('is no other thing that somebody signed', () => {
    expect(verifyRecord(signJws('dc-checkpoint', payload, agent))).toBeNull();
    for (const other of [null, 5, 'text', []]) {
      expect(verifyRecord(signJws('dc-record', other as object, agent))).toBeNull();
      expect(verifyCheckpoint(signJws('dc-checkpoint', other as object, agent))).toBeNull();
    }
  });

  it('is refused with any one bit changed', () => {
    const compact = signRecord(payload, agent);
    fc.assert(
      fc.property(fc.nat(compact.length - 1), fc.nat(7), (index, bit) => {
        expect(verifyRecord(flipBit(compact, index, bit))).toBeNull();
      }),
      { numRuns: 500 },
    );
  });
});

describe('a checkpoint', () => {
  const receipt = {
    agent: agent.publicKey,
    seq: 1,
    hash: 'ab'.repeat(32),
    received_at: '2026-11-20T12:00:00.000Z',
  };

  it('says what the coordinator held, and who that is', () => {
    expect(verifyCheckpoint(signCheckpoint(receipt, coordinator))).toEqual({
      coordinator: coordinator.publicKey,
      payload: receipt,
    });
  });

  it.each<[string, Record<string, unknown>]>([
    ['no agent', { agent: undefined }],
    ['a text as number', { seq: '1' }],
    ['no hash', { hash: undefined }],
    ['no time', { received_at: undefined }],
  ])('with %s is refused', (_name, changes) => {
    const changed = { ...receipt, ...changes };
    expect(verifyCheckpoint(signCheckpoint(changed, coordinator))).toBeNull();
  });

  it('is no record, and no record is one', () => {
    expect(verifyRecord(signCheckpoint(receipt, agent))).toBeNull();
    expect(verifyCheckpoint(signRecord(payload, agent))).toBeNull();
  });
});
