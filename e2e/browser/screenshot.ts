/** The pictures that README shows, taken by the tests: renewed only with UPDATE_SCREENSHOTS=1. */
import path from 'node:path';
import type { Page } from 'playwright-core';

const FOLDER = path.join(import.meta.dirname, '..', '..', 'docs', 'screenshots');

/** Takes the picture `name` of the page from its top, if asked to. */
export async function saveScreenshot(page: Page, name: string): Promise<void> {
  if (process.env['UPDATE_SCREENSHOTS'] !== '1') return;
  const file = path.join(FOLDER, `${name}.png`);
  const scrolledTo = await page.evaluate(() => scrollY);
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: file, animations: 'disabled' });
  await page.evaluate((y) => scrollTo(0, y), scrolledTo);
}
