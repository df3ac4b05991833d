/** Hashes as crypt(3) writes them; the values are from openssl passwd. */
import { describe, expect, it } from 'vitest';
import { cryptSha256, verifyCrypt } from './crypt.ts';

describe('crypt', () => {
  it('writes what others write', () => {
    expect(cryptSha256('Hello world!', 'saltstring')).toBe(
      '$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5',
    );
  });

  it.each([
    [
      'Hello world!',
      '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1',
      true,
    ],
    [
      'Hello world',
      '$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1',
      false,
    ],
    ['Hello world!', '!$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5', false],
    ['', '*', false],
    ['', '', false],
  ])('knows whether %j fits %s', (password, hash, fits) => {
    expect(verifyCrypt(password, hash)).toBe(fits);
  });
});
