import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { composeBody, isReverseCharge, seriesOf, type Draft, type Party } from './document.ts';

const seller: Party = {
  name: 'Seller GmbH',
  address: '1 Street\n10115 Berlin',
  country: 'DE',
  vat_number: 'DE1',
};
const buyer = { account: 'ab'.repeat(32), name: 'Buyer SARL', address: '', country: 'FR', vat_number: 'FR2' };
const draft = (change: Partial<Draft> = {}): Draft => ({
  ...{ kind: 'invoice', account: buyer.account, contractId: null, currency: 'EUR', paymentMethod: 'stripe' },
  lines: [{ text: 'a thing', netE9s: 100n, ledger: ['c'], evidence: [] }],
  ...{ taxE9s: 0n, refersTo: [] },
  ...change,
});
const issue = {
  number: 'INV-2026-000001',
  issuedAt: '2026-11-20T00:00:00.000Z',
  seller,
  buyer,
  taxNote: 'No VAT.',
};

describe('a document', () => {
  it('adds up, whatever its lines and its tax are', () => {
    const net = fc.bigInt({ min: 0n, max: 10n ** 15n });
    fc.assert(
      fc.property(
        fc.array(net, { minLength: 1, maxLength: 20 }),
        net,
        fc.boolean(),
        (nets, tax, isCredit) => {
          fc.pre(nets.some((amount) => amount > 0n));
          const sign = isCredit ? -1n : 1n;
          const lines = nets.map((netE9s) => ({
            text: '',
            netE9s: sign * netE9s,
            ledger: ['c'],
            evidence: [],
          }));
          const body = composeBody(draft({ lines, taxE9s: sign * tax }), issue);
          const sum = (of: 'net' | 'tax' | 'gross') =>
            body.lines.reduce((total, line) => total + BigInt(line[of]), 0n);
          for (const of of ['net', 'tax', 'gross'] as const) expect(sum(of)).toBe(BigInt(body[of]));
          expect(BigInt(body.net) + BigInt(body.tax)).toBe(BigInt(body.gross));
          expect(BigInt(body.tax)).toBe(sign * tax);
        },
      ),
    );
  });

  it('says the rate at which tax was paid', () => {
    const rate = (netE9s: bigint, taxE9s: bigint) =>
      composeBody(draft({ lines: [{ text: '', netE9s, ledger: [], evidence: [] }], taxE9s }), issue)
        .tax_rate_bp;
    expect(rate(100n, 19n)).toBe(1900);
    expect(rate(-100n, -19n)).toBe(1900);
    expect(rate(999_999_999n, 190_000_000n)).toBe(1900);
    expect(rate(100n, 0n)).toBe(0);
  });

  it('says who owes the tax where none was charged', () => {
    const notes = (of: Party) => composeBody(draft(), { ...issue, buyer: { ...buyer, ...of } }).notes;
    expect(notes(buyer)).toEqual([expect.stringContaining('Reverse charge')]);
    expect(notes({ ...buyer, vat_number: null })).toEqual(['No VAT.']);
    expect(composeBody(draft({ taxE9s: 19n }), issue).notes).toEqual([]);
    expect(isReverseCharge(seller, { ...buyer, country: 'DE' })).toBe(false);
    expect(isReverseCharge(seller, { ...buyer, country: 'US' })).toBe(false);
    expect(isReverseCharge({ ...seller, vat_number: null }, buyer)).toBe(false);
  });

  it('is about something', () => {
    expect(() => composeBody(draft({ lines: [] }), issue)).toThrow(RangeError);
  });
});

it('a series is of a kind and a year, and a new one begins after a safe mode', () => {
  const at = Date.parse('2026-12-31T23:59:59.999Z');
  expect(seriesOf('invoice', at, 0)).toBe('INV-2026');
  expect(seriesOf('invoice', at + 1, 0)).toBe('INV-2027');
  expect(seriesOf('credit_note', at, 2)).toBe('CRN-2026-R2');
});
