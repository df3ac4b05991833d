/** Whether an address is this machine and nothing else. */

/** Of the host of a URL, or of an address as `listen` takes it. Asks nobody: a name that resolves to it does not count. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
