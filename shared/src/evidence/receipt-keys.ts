/**
 * Whose receipts count in a file of evidence: those of a coordinator key, and of the keys that came before and after
 * it by announcements in the file, each in its own time.
 */
import { verifyKeyRotation, type KeyRotation } from '../key-rotation/key-rotation.ts';

export class ReceiptKeys {
  readonly #root: string | undefined;
  readonly #successions = new Map<string, KeyRotation>();
  readonly #origins = new Map<string, KeyRotation>();

  /** Without a root every coordinator's receipts count, in their time. */
  constructor(root: string | undefined) {
    this.#root = root;
  }

  /** Takes an announcement. False where it does not verify, or a key would have two successors or two origins. */
  add(compact: string): boolean {
    const rotation = verifyKeyRotation(compact);
    if (rotation === null || this.#successions.has(rotation.iss) || this.#origins.has(rotation.next))
      return false;
    this.#successions.set(rotation.iss, rotation);
    this.#origins.set(rotation.next, rotation);
    return true;
  }

  /** Why a receipt by `key` of `receivedAt` does not count; null where it does. */
  objectionTo(key: string, receivedAt: string): string | null {
    if (this.#root !== undefined && !this.#leadsTo(key)) return 'is signed by another coordinator';
    const at = Date.parse(receivedAt);
    const end = this.#successions.get(key)?.ends ?? Infinity;
    const start = this.#origins.get(key)?.iat ?? -Infinity;
    return at >= start * 1000 && at < end * 1000 ? null : 'is signed by a key outside of its time';
  }

  /** Both keys have signed each step, so that trust in any key of the chain is trust in the others. */
  #leadsTo(key: string): boolean {
    const seen = new Set<string>();
    for (let at = this.#root; at !== undefined && !seen.has(at); at = this.#successions.get(at)?.next) {
      if (at === key) return true;
      seen.add(at);
    }
    seen.clear();
    for (let at = this.#root; at !== undefined && !seen.has(at); at = this.#origins.get(at)?.iss) {
      if (at === key) return true;
      seen.add(at);
    }
    return false;
  }
}
