/** The checks of accessibility.ts must find what they look for: here is a page that has everything wrong. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findBarriers, findFocusProblems } from './accessibility.ts';
import { openBrowser, openPage } from './open-browser.ts';

let browser: Browser;
beforeAll(async () => {
  browser = await openBrowser();
});
afterAll(() => browser.close());

const BAD_PAGE = `<!doctype html><html lang="en"><body style="background:#fff">
  <h1>Title</h1><h3 id="twice">Skipped a level</h3>
  <p style="color:#999">Pale text</p>
  <div style="background:rgba(0,0,0,.6)"><p style="color:#555">Dark on a dark film</p></div>
  <input id="twice" style="outline:none"><button style="width:20px;height:20px;outline:none"></button>
  <label for="nobody">Label of nothing</label><fieldset>No legend</fieldset>
  <button tabindex="2" style="width:60px;height:60px">First by force</button>
  <div style="width:3000px">Too wide</div></body></html>`;

const GOOD_PAGE = `<!doctype html><html lang="en"><body style="background:#fff"><h1>Title</h1><h2>Part</h2>
  <p style="color:#333">Text</p><style>:focus-visible{outline:3px solid #000}</style>
  <label for="a">Name</label> <input id="a" style="width:200px;height:44px">
  <button style="width:60px;height:44px">Go</button></body></html>`;

describe('the checks', () => {
  it('find each thing that is wrong', async () => {
    const { page, close } = await openPage(browser);
    await page.setContent(BAD_PAGE);
    const found = (await findBarriers(page)).join('\n');
    for (const expected of [
      /contrast 2\.8\d: "Pale text"/,
      /contrast \d\.\d+: "Dark on a dark film"/,
      /a button without a name/,
      /a textbox without a name/,
      /target 20×20/,
      /the id twice stands twice/,
      /for="nobody" names nothing/,
      /a fieldset without a legend/,
      /heading level 3 after 1/,
      /wider than the screen/,
    ])
      expect(found).toMatch(expected);
    const focus = (await findFocusProblems(page)).join('\n');
    expect(focus).toMatch(/focus goes back/);
    expect(focus).toMatch(/focus does not show/);
    await close();
  });

  it('find nothing where nothing is wrong', async () => {
    const { page, close } = await openPage(browser);
    await page.setContent(GOOD_PAGE);
    expect(await findBarriers(page)).toEqual([]);
    expect(await findFocusProblems(page)).toEqual([]);
    await close();
  });
});
