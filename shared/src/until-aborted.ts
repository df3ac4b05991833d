/** Lets go of work that does not end by itself when it is aborted. */

/**
 * What `work` comes to, or the signal's reason as soon as it is aborted. undici, for one, does not give up a request
 * while it still connects. The work itself must get the signal too: nothing here ends it.
 */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
