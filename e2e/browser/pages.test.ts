/** Every page in every situation, from fixed data: readable, usable, light enough, and free of errors. */
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CONTRACTS,
  OFFERINGS,
  previewData,
  PROVIDERS,
} from '../../coordinator/src/web/testing/preview-data.ts';
import { startPreview, type Preview } from '../../coordinator/src/web/testing/preview-server.ts';
import { findBarriers, findFocusProblems } from './accessibility.ts';
import { DESKTOP, openBrowser, openPage, PHONE } from './open-browser.ts';

let browser: Browser;
let anonymous: Preview;
let signedIn: Preview;
let empty: Preview;
beforeAll(async () => {
  browser = await openBrowser();
  const none = { items: [], nextCursor: null };
  anonymous = await startPreview();
  signedIn = await startPreview({ signedIn: true });
  empty = await startPreview({
    signedIn: true,
    data: previewData({ listOfferings: async () => none, listContracts: async () => none }),
  });
});
afterAll(async () => {
  await browser.close();
  await Promise.all([anonymous, signedIn, empty].map((server) => server.stop()));
});

const MODES: readonly (BrowserContextOptions & { name: string })[] = [
  { name: 'phone, light', viewport: PHONE, colorScheme: 'light', hasTouch: true },
  { name: 'phone, dark', viewport: PHONE, colorScheme: 'dark', hasTouch: true },
  { name: 'desktop, light', viewport: DESKTOP, colorScheme: 'light' },
  { name: 'desktop, dark', viewport: DESKTOP, colorScheme: 'dark' },
];

const pages = (): [name: string, url: string][] => [
  ['offerings', `${anonymous.url}/?country=DE&min_cpu=x`],
  ['no offerings', `${empty.url}/`],
  ['rent, signed out', `${anonymous.url}/offerings/${OFFERINGS[1]!.id}`],
  ['rent, signed in', `${signedIn.url}/offerings/${OFFERINGS[1]!.id}`],
  ['rent, sold out', `${signedIn.url}/offerings/${OFFERINGS[2]!.id}`],
  ['rent, hostile', `${signedIn.url}/offerings/${OFFERINGS[4]!.id}`],
  ['sign in', `${anonymous.url}/login`],
  ['account', `${signedIn.url}/login`],
  ['contracts', `${signedIn.url}/contracts`],
  ['no contracts', `${empty.url}/contracts`],
  ['provider', `${signedIn.url}/providers/${PROVIDERS[0]!.pubkey}`],
  ...CONTRACTS.map(({ id, state }): [string, string] => [state, `${signedIn.url}/contracts/${id}`]),
];

describe('every page', () => {
  for (const { name: mode, ...options } of MODES) {
    it(`has no barriers and no errors on a ${mode} screen`, async () => {
      const { page, problems, close } = await openPage(browser, options);
      const found: Record<string, string[]> = {};
      for (const [name, url] of pages()) {
        await page.goto(url);
        await page.locator('[data-script]:visible, main').first().waitFor();
        const barriers = await findBarriers(page);
        if (barriers.length > 0) found[name] = barriers;
        expect(await page.title()).not.toBe('owned');
      }
      await close();
      expect(found).toEqual({});
      expect(problems).toEqual([]);
    });
  }

  it('can be walked through by Tab, in its order, with the focus in sight', async () => {
    for (const viewport of [PHONE, DESKTOP]) {
      const { page, close } = await openPage(browser, { viewport });
      for (const [name, url] of pages().slice(0, 10)) {
        await page.goto(url);
        await page.locator('main').waitFor();
        expect({ name, found: await findFocusProblems(page) }).toEqual({ name, found: [] });
      }
      await close();
    }
  });

  it('can be read without scripts', async () => {
    const { page, problems, close } = await openPage(browser, { javaScriptEnabled: false });
    for (const [, url] of pages()) {
      await page.goto(url);
      expect((await page.locator('main').innerText()).length).toBeGreaterThan(40);
    }
    await page.goto(`${anonymous.url}/login`);
    expect(await page.locator('main').innerText()).toContain('needs JavaScript');
    await page.goto(`${anonymous.url}/?`);
    await page.getByLabel('Search').fill('helsinki');
    await page.getByRole('button', { name: 'Show' }).click();
    expect(await page.locator('article').count()).toBe(1);
    await close();
    expect(problems).toEqual([]);
  });

  it('needs less than 60 kB over the wire until it is painted and works', async () => {
    for (const [name, url] of pages()) {
      const { page, close } = await openPage(browser);
      const session = await page.context().newCDPSession(page);
      await session.send('Network.enable');
      let bytes = 0;
      session.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
      await page.goto(url, { waitUntil: 'load' });
      await page.locator('main').waitFor();
      expect(bytes, name).toBeGreaterThan(3000);
      expect(bytes, name).toBeLessThan(60_000);
      await close();
    }
  });
});
