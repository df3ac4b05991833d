import { randomBytes } from 'node:crypto';
import { fromHex, toHex } from '@dc/shared/ids';
import { describe, expect, it } from 'vitest';
import { bip39Seed } from './account-key.ts';
import { newPhrase, phraseProblem, splitWords, wordProblem } from './phrase.ts';

// Entropy and phrase of the official BIP-39 vectors for 12 words (trezor/python-mnemonic, vectors.json).
const VECTORS: readonly [entropy: string, phrase: string][] = [
  [
    '00000000000000000000000000000000',
    'abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about',
  ],
  [
    '7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f',
    'legal winner thank year wave sausage worth useful legal winner thank yellow',
  ],
  [
    '80808080808080808080808080808080',
    'letter advice cage absurd amount doctor acoustic avoid letter advice cage above',
  ],
  ['ffffffffffffffffffffffffffffffff', 'zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong'],
  [
    '9e885d952ad362caeb4efe34a8e91bd2',
    'ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic',
  ],
  [
    '23db8160a31d3e0dca3688ed941adbf3',
    'cat swing flag economy stadium alone churn speed unique patch report train',
  ],
  [
    'f30f8c1da665478f49b001d94c5fc452',
    'vessel ladder alter error federal sibling chat ability sun glass valve picture',
  ],
];

describe('a recovery phrase', () => {
  it('encodes its entropy as BIP-39 says', () => {
    for (const [entropy, phrase] of VECTORS) {
      expect(newPhrase({ bytes: () => fromHex(entropy) }).join(' ')).toBe(phrase);
      expect(phraseProblem(phrase.split(' '))).toBeNull();
    }
  });

  it('gives the seed of BIP-39 for an empty passphrase', async () => {
    const words = (VECTORS[0]?.[1] ?? '').split(' ');
    expect(toHex(await bip39Seed(words))).toBe(
      '5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc19a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4',
    );
  });

  it('is new every time and always usable', () => {
    const random = { bytes: (count: number) => randomBytes(count) };
    const phrases = Array.from({ length: 50 }, () => newPhrase(random));
    for (const phrase of phrases) expect(phraseProblem(phrase)).toBeNull();
    expect(new Set(phrases.map((words) => words.join(' '))).size).toBe(50);
  });

  it('is found in whatever a renter pastes', () => {
    const words = ['legal', 'winner', 'thank'];
    for (const text of [
      'legal winner thank',
      ' Legal\n WINNER\tthank ',
      '1. legal 2. winner 3) thank',
      'legal,winner,thank',
    ]) {
      expect(splitWords(text)).toEqual(words);
    }
  });

  it('names the word that is unknown, and those that are likely meant', () => {
    expect(wordProblem('abandn', 2)?.text).toContain('Word 3, “abandn”');
    expect(wordProblem('abandn', 2)?.text).toContain('Did you mean “abandon”?');
    expect(wordProblem('winer', 0)?.text).toContain('Did you mean “wine” or “winner” or “winter”?');
    expect(wordProblem('zooo', 0)?.text).toContain('“zoo”');
    expect(wordProblem('xylofon', 0)?.text).toContain('Check its spelling');
    expect(wordProblem('zoo', 0)).toBeNull();
    expect(wordProblem('', 0)).toBeNull();
  });

  it('is refused when a word is missing, wrong, too many, or in the wrong place', () => {
    const words = (VECTORS[4]?.[1] ?? '').split(' ');
    expect(phraseProblem(words.slice(0, 11))).toMatchObject({ word: 11 });
    expect(phraseProblem([])).toMatchObject({ word: 0 });
    expect(phraseProblem(words.with(3, 'fibre'))).toMatchObject({ word: 3 });
    expect(phraseProblem([...words, 'zoo'])?.text).toContain('these are more');
    const swapped = words.with(0, words[1] ?? '').with(1, words[0] ?? '');
    expect(phraseProblem(swapped)?.text).toContain('do not fit together');
  });
});
