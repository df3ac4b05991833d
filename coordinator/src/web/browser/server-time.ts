/** The server's time in the browser: its clock when the page was made, carried on by the browser's. */

let offsetMs: number | null = null;

/** The server's time in milliseconds, within the time that the page took to arrive. */
export function serverNow(): number {
  offsetMs ??= measureOffset();
  return Date.now() + offsetMs;
}

function measureOffset(): number {
  const madeAt = Date.parse(document.body.dataset['now'] ?? '');
  const [navigation] = performance.getEntriesByType('navigation');
  const arrivedAt =
    performance.timeOrigin +
    (navigation instanceof PerformanceNavigationTiming ? navigation.responseStart : performance.now());
  return Number.isNaN(madeAt) ? 0 : madeAt - arrivedAt;
}
