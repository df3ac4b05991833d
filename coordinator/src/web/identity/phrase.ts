/**
 * The recovery phrase of an account: twelve English words of BIP-39. Made and read in the browser only. This module
 * brings the word list (13 kB), so that pages load it when it is needed and not before.
 */
import type { Random } from '@dc/shared/random';
import { entropyToMnemonic, validateMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';

/** Words in a phrase: 128 bits of entropy, as much as an Ed25519 key withstands. */
export const WORD_COUNT = 12;
const ENTROPY_BYTES = 16;

/** What is wrong with a phrase. `word` counts from 0; null where it is about the phrase as a whole. */
export interface PhraseProblem {
  word: number | null;
  text: string;
}

/** A new phrase. */
export function newPhrase(random: Random): string[] {
  return entropyToMnemonic(random.bytes(ENTROPY_BYTES), wordlist).split(' ');
}

/** The words in `text`, lower-cased; whatever stands between them (spaces, numbers, commas, line ends) is dropped. */
export function splitWords(text: string): string[] {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== '');
}

/** What is wrong with one word that was typed, or null. An empty word is not yet wrong. */
export function wordProblem(word: string, position: number): PhraseProblem | null {
  if (word === '' || wordlist.includes(word)) return null;
  const near = nearWords(word).map((candidate) => `“${candidate}”`);
  const hint = near.length === 0 ? 'Check its spelling.' : `Did you mean ${near.join(' or ')}?`;
  return { word: position, text: `Word ${position + 1}, “${word}”, is not one of the 2,048 words. ${hint}` };
}

/** What is wrong with a whole phrase, or null where it can be used. */
export function phraseProblem(words: readonly string[]): PhraseProblem | null {
  const missing = Array.from({ length: WORD_COUNT }, (_, index) => words[index] ?? '').indexOf('');
  if (missing >= 0) return { word: missing, text: `Word ${missing + 1} is missing: a phrase has 12 words.` };
  for (const [position, word] of words.entries()) {
    const problem = wordProblem(word, position);
    if (problem !== null) return problem;
  }
  if (words.length > WORD_COUNT) return { word: null, text: 'A phrase has 12 words; these are more.' };
  if (validateMnemonic(words.join(' '), wordlist)) return null;
  return {
    word: null,
    text: 'All words are known, but they do not fit together: one is another word, or two have changed places.',
  };
}

const SUGGESTIONS_MAX = 3;

/** The words that `typed` is likely to mean: the same first four letters, which are unique, or one letter off. */
function nearWords(typed: string): string[] {
  const isNear = (word: string): boolean =>
    isOneEditApart(word, typed) || (typed.length >= 4 && word.startsWith(typed.slice(0, 4)));
  return wordlist.filter(isNear).slice(0, SUGGESTIONS_MAX);
}

/** Whether one letter added, removed, replaced or swapped with its neighbour makes `b` of `a`. */
function isOneEditApart(a: string, b: string): boolean {
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
  const restA = a.slice(start);
  const restB = b.slice(start);
  return (
    restA.slice(1) === restB ||
    restA === restB.slice(1) ||
    restA.slice(1) === restB.slice(1) ||
    (restA.slice(2) === restB.slice(2) && restA[0] === restB[1] && restA[1] === restB[0])
  );
}
