/**
 * Says which record a line is, or is about, that does not verify. What a broken line claims may be the very thing
 * that was changed: the place in the chain decides, and the claims only choose the chain.
 */
import { CHAIN_START } from './record.ts';

/** What of one agent's chain has been verified so far. */
export interface Chain {
  /** Hash of record `seq` at index `seq - 1`. */
  hashes: string[];
  checkpoints: number;
}

/** A record by its agent (in hex; empty where nothing says whose it is) and its number. */
export interface RecordName {
  agent: string;
  seq: number;
}

/**
 * The record that the line `text` is, or is about, most likely: right for any one changed byte in a file that verified before.
 * `lastAgent` is the one whose record or checkpoint stood before it.
 */
export function guessRecord(
  text: string,
  chains: ReadonlyMap<string, Chain>,
  lastAgent: string | undefined,
): RecordName {
  const words = decodeRuns(text);
  const isCheckpoint = text.includes('"checkpoint"') || words.includes('"typ":"dc-checkpoint"');
  return isCheckpoint
    ? guessCheckpointed(words, chains, lastAgent)
    : nextOf(guessAgent(words, chains, lastAgent), chains);
}

function guessAgent(
  words: string,
  chains: ReadonlyMap<string, Chain>,
  lastAgent: string | undefined,
): string {
  const kid = /"kid":"([0-9a-f]{64})"/.exec(words)?.[1];
  if (kid !== undefined && chains.has(kid)) return kid;
  const prev = /"prev":"([0-9a-f]{64})"/.exec(words)?.[1];
  for (const [agent, { hashes }] of chains) if (hashes.at(-1) === prev) return agent;
  if (kid !== undefined || prev === CHAIN_START) return kid ?? '';
  return lastAgent ?? '';
}

function nextOf(agent: string, chains: ReadonlyMap<string, Chain>): RecordName {
  return { agent, seq: (chains.get(agent)?.hashes.length ?? 0) + 1 };
}

function guessCheckpointed(
  words: string,
  chains: ReadonlyMap<string, Chain>,
  lastAgent: string | undefined,
): RecordName {
  const hash = /"hash":"([0-9a-f]{64})"/.exec(words)?.[1] ?? '';
  for (const [agent, { hashes }] of chains) {
    const index = hashes.lastIndexOf(hash);
    if (index >= 0) return { agent, seq: index + 1 };
  }
  const [, agent, seq] = /"agent":"([0-9a-f]{64})","seq":([0-9]{1,15})/.exec(words) ?? [];
  if (agent !== undefined && chains.has(agent)) return { agent, seq: Number(seq) };
  // An exported checkpoint stands right behind its record.
  return { agent: lastAgent ?? '', seq: chains.get(lastAgent ?? '')?.hashes.length ?? 1 };
}

/** Everything in `text` that looks like base64url, decoded as far as it goes. */
function decodeRuns(text: string): string {
  const runs = text.match(/[A-Za-z0-9_-]{8,}/g) ?? [];
  return runs.map((run) => Buffer.from(run, 'base64url').toString('latin1')).join('\n');
}
