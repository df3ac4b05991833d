/** Lets one piece of work at a time run for each key, in the order of asking. Not reentrant. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs `work` when everything asked for earlier under this key has settled, and gives back its result. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    // The failure of earlier work belongs to whoever asked for it, and is no reason not to run this.
    const result = before.then(work, work);
    const settled = result.then(
      () => {},
      () => {},
    );
    this.#tails.set(key, settled);
    void settled.then(() => {
      if (this.#tails.get(key) === settled) this.#tails.delete(key);
    });
    return result;
  }
}
