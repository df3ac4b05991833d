/** The pictures that README shows, taken by the tests: renewed only with UPDATE_SCREENSHOTS=1. */
import path from 'node:path';
import type { Page } from 'playwright-core';

const FOLDER = path.join(import.meta.dirname, '..', '..', 'docs', 'screenshots');

/** Takes the picture `name` of what is in sight, if asked to. */
export async function saveScreenshot(page: Page, name: string): Promise<void> {
  if (process.env['UPDATE_SCREENSHOTS'] !== '1') return;
  await page.screenshot({ path: path.join(FOLDER, `${name}.png`), animations: 'disabled' });
}
