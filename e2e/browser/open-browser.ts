/** Chromium for tests: a page that fails its test when anything on it goes wrong. */
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';
// The network ends at this machine: a page that asks anybody else fails.
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
];

/** For one step: everything here takes a second at most, on a busy machine some more. */
const TIMEOUT_MS = 15_000;

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 360, height: 740 };

/** Starts Chromium with a new empty profile. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
}

/** A page and what went wrong on it. */
export interface WatchedPage {
  page: Page;
  /** Console errors, uncaught exceptions, and breaches of the Content-Security-Policy. */
  problems: string[];
  close(): Promise<void>;
}

/** Opens a page in a context of its own: no cookies, keys or storage of others. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: DESKTOP, acceptDownloads: true, ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.stack ?? error.message));
  await context.exposeBinding('reportViolation', (_source, text: string) => problems.push(text));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
      (globalThis as unknown as { reportViolation: (text: string) => void }).reportViolation(
        `CSP: ${violatedDirective} ${blockedURI}`,
      );
    });
  });
  return { page, problems, close: () => context.close() };
}
