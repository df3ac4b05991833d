/**
 * Waits until nothing is left to run at this moment of virtual time: no promise, no tick, no immediate. Sockets, files
 * and worker threads would escape it; a simulated node has none of them.
 */

/** Resolves when the process would otherwise be idle. */
export async function settle(): Promise<void> {
  do {
    await new Promise<void>((resolve) => setImmediate(resolve));
  } while (hasImmediates());
}

/**
 * Whether somebody else has set an immediate. Node has run every tick and promise before it comes to the next
 * immediate, so that none left means that none of those is left either.
 */
function hasImmediates(): boolean {
  return process.getActiveResourcesInfo().includes('Immediate');
}
