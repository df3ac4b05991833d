import { describe, expect, it } from 'vitest';
import {
  accountText,
  countryText,
  durationText,
  hoursText,
  memoryText,
  moneyText,
  shortDurationText,
  timeElement,
  utcText,
} from './format.ts';

describe('format', () => {
  it('writes money exactly, also where a float could not', () => {
    expect(moneyText({ amount_e9s: '9007199254740993000', currency: 'USD' })).toBe('9007199254.740993 USD');
    expect(moneyText({ amount_e9s: '50000000', currency: 'USD' })).toBe('0.05 USD');
  });

  it('writes sizes in the largest unit', () => {
    expect([256, 1024, 1536, 65_536].map(memoryText)).toEqual(['256 MB', '1 GB', '1.5 GB', '64 GB']);
  });

  it('writes rental times in hours, and in days from two full days on', () => {
    expect([1, 24, 36, 48, 720].map(hoursText)).toEqual([
      '1 hour',
      '24 hours',
      '36 hours',
      '2 days',
      '30 days',
    ]);
  });

  it('writes lengths of time with at most two units, rounded down', () => {
    const cases: [number, string][] = [
      [-5, '0.0 s'],
      [449, '0.4 s'],
      [9_999, '9.9 s'],
      [12_900, '12 s'],
      [185_000, '3 min 5 s'],
      [3_600_000, '1 h'],
      [7_440_000, '2 h 4 min'],
      [47 * 3_600_000, '47 h'],
      [76 * 3_600_000, '3 days 4 h'],
    ];
    for (const [ms, text] of cases) expect(durationText(ms)).toBe(text);
  });

  it('writes what took less than a second in milliseconds', () => {
    expect([0, 480, 999, 1000].map(shortDurationText)).toEqual(['0 ms', '480 ms', '999 ms', '1.0 s']);
  });

  it('writes times in UTC with the machine-readable time beside', () => {
    expect(utcText('2026-11-20T14:03:09.123Z')).toBe('20 Nov 2026, 14:03 UTC');
    expect(timeElement('2026-11-20T14:03:09.123Z').toString()).toContain(
      'datetime="2026-11-20T14:03:09.123Z"',
    );
  });

  it('names countries, and leaves an unknown code as it is', () => {
    expect(countryText('DE')).toBe('Germany');
    expect(countryText('QX')).toBe('QX');
  });

  it('calls an account by its name, or by a short form of its key', () => {
    const pubkey = 'ab'.repeat(32);
    expect(accountText({ username: 'alice', pubkey })).toBe('alice');
    expect(accountText({ username: null, pubkey })).toBe('account ababab');
  });
});
