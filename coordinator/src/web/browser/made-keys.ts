/**
 * What this browser remembers of SSH keys made in it: the public half, the name of the file with the private one,
 * and for which contract it was used, so that the command on the contract's page names the right file. No secrets.
 */

/** A key that was made here. */
export interface MadeKey {
  publicLine: string;
  /** Where the renter was told to put the private key. */
  file: string;
}

const KEYS = 'dc.made-keys';
const CONTRACTS = 'dc.contract-keys';
// Old ones go: nobody has that many keys or running contracts of one browser.
const KEEP_MAX = 50;

/** The keys that were made here, newest first. */
export function listMadeKeys(): MadeKey[] {
  return read<MadeKey>(KEYS);
}

/** Remembers a key. */
export function rememberMadeKey(key: MadeKey): void {
  write(KEYS, [key, ...listMadeKeys()]);
}

/** Remembers that the contract was made with this public key, where it is one of ours. */
export function rememberContractKey(contractId: string, publicLine: string): void {
  const file = listMadeKeys().find((key) => key.publicLine === publicLine.trim())?.file;
  if (file !== undefined) write(CONTRACTS, [{ contractId, file }, ...read<ContractKey>(CONTRACTS)]);
}

/** Remembers that another key opens the contract's instance now: the old one's file is of no use any more. */
export function changeContractKey(contractId: string, publicLine: string): void {
  const others = read<ContractKey>(CONTRACTS).filter((entry) => entry.contractId !== contractId);
  write(CONTRACTS, others);
  rememberContractKey(contractId, publicLine);
}

/** The private key file of the contract; null where the key was not made here. */
export function identityFileOf(contractId: string): string | null {
  return read<ContractKey>(CONTRACTS).find((entry) => entry.contractId === contractId)?.file ?? null;
}

interface ContractKey {
  contractId: string;
  file: string;
}

function read<T>(name: string): T[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(name) ?? '[]');
    return Array.isArray(value) ? (value as T[]) : [];
  } catch {
    return []; // Storage is switched off, or holds something else: then nothing is remembered.
  }
}

function write(name: string, value: readonly unknown[]): void {
  try {
    localStorage.setItem(name, JSON.stringify(value.slice(0, KEEP_MAX)));
  } catch {
    // Storage is full or switched off: it only saves the renter some typing.
  }
}
