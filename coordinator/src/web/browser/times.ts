/** Times in the reader's own zone, and the counters that tick. */
import { durationText } from '../format.ts';
import { serverNow } from './server-time.ts';

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

/** Rewrites the times inside `root` into the reader's zone; the time in UTC stays as a hint. */
export function localiseTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll<HTMLTimeElement>('time[data-local]')) {
    time.title = time.textContent;
    time.textContent = LOCAL.format(new Date(time.dateTime));
    time.removeAttribute('data-local');
  }
}

const SLOW_MS = 1000;
const FAST_MS = 100;

/** Keeps `data-since` and `data-until` counting, for as long as the page lives. */
export function startTicking(): void {
  const calm = matchMedia('(prefers-reduced-motion: reduce)');
  const tick = (): void => {
    const now = serverNow();
    const since = document.querySelectorAll<HTMLElement>('[data-since]');
    for (const element of since) {
      element.textContent = durationText(now - Date.parse(element.dataset['since'] ?? ''));
    }
    for (const element of document.querySelectorAll<HTMLElement>('[data-until]')) {
      element.textContent = durationText(Date.parse(element.dataset['until'] ?? '') - now);
    }
    setTimeout(tick, since.length > 0 && !calm.matches && !document.hidden ? FAST_MS : SLOW_MS);
  };
  tick();
}
