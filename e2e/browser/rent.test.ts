/** The whole rental in Chromium against the real system: by clicking, by keyboard alone, and when things go wrong. */
import { validateMnemonic } from '@scure/bip39';
import { wordlist } from '@scure/bip39/wordlists/english.js';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { makeSshIdentity, type SshIdentity } from '../ssh-login.ts';
import { startSystem, type RunningSystem } from '../start-system.ts';
import { findBarriers } from './accessibility.ts';
import { freePort } from '../testing/system-under-test.ts';
import { openBrowser, openPage, PHONE } from './open-browser.ts';
import { saveScreenshot } from './screenshot.ts';

const run = promisify(execFile);

let folder: string;
let system: RunningSystem;
let browser: Browser;
let identity: SshIdentity;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'dc-browser-'));
  const dataDir = path.join(folder, 'data');
  [system, browser, identity] = await Promise.all([
    startSystem({ dataDir, port: await freePort() }),
    openBrowser(),
    makeSshIdentity(),
  ]);
});
afterAll(async () => {
  await browser.close();
  await system.stop();
  identity.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Signs in with a new account from wherever the panel is shown, and returns its words. */
async function createIdentity(page: Page, name = ''): Promise<string[]> {
  await page.locator('.word').first().waitFor();
  await expect.poll(() => page.locator('#word-12').inputValue()).not.toBe('');
  const words = await page
    .locator('.word')
    .evaluateAll((fields) => fields.map((field) => (field as HTMLInputElement).value));
  await page.getByLabel('My 12 words are saved').check();
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', { name: 'Continue' }).click();
  return words;
}

/** Signs in and opens the form that rents the first offering. */
async function openRentForm(page: Page): Promise<void> {
  await page.goto(`${system.url}/login`);
  await createIdentity(page);
  await page.waitForURL(`${system.url}/contracts`);
  await page.goto(system.url);
  await page
    .getByRole('link', { name: /^Rent / })
    .first()
    .click();
  await page.locator('#pay').waitFor();
}

/** Rents with a pasted key and waits until the instance is ready. */
async function rent(page: Page): Promise<void> {
  await openRentForm(page);
  await page.getByLabel('Public key', { exact: true }).fill(identity.publicKey);
  await page.getByRole('button', { name: 'Pay and start' }).click();
  await page.getByRole('heading', { name: 'Your instance is ready' }).waitFor();
}

/** The contract of the page, by the API with the page's session. */
function readContract(page: Page): Promise<WireContract> {
  return page.evaluate(async (): Promise<WireContract> => {
    const response = await fetch(`/api/v1${location.pathname}`);
    return (await response.json()) as WireContract;
  });
}

/** Types a command as the page gave it into a shell whose home is `home`. */
async function inShell(home: string, command: string): Promise<string> {
  const { stdout } = await run('/bin/sh', ['-c', command], {
    env: { HOME: home, PATH: '/usr/bin:/bin' },
    timeout: 20_000,
  });
  return stdout;
}

/** `ssh` finds the home of its user without the environment; everything else is as the page says. */
const asTyped = (sshCommand: string, remote: string): string =>
  `${sshCommand} -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$HOME/.ssh/known_hosts" '${remote}'`;

describe('renting by clicking', () => {
  it('gives a working login with the copied commands, and the refund that was shown', async () => {
    const home = path.join(folder, 'home');
    mkdirSync(path.join(home, 'Downloads'), { recursive: true });
    const { page, problems, close } = await openPage(browser, {
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    const clipboard = () => page.evaluate(() => navigator.clipboard.readText());

    await page.goto(system.url);
    await saveScreenshot(page, 'offerings');
    await page
      .getByRole('link', { name: /^Rent / })
      .first()
      .click();
    await createIdentity(page, 'alice');
    await page.getByText('You rent as alice').waitFor();

    await page.getByRole('radio', { name: '6 hours' }).check();
    expect(await page.getByLabel('Hours', { exact: true }).inputValue()).toBe('6');
    await page.getByRole('radio', { name: 'Make one here' }).check();
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Make a key pair' }).click();
    const download = await saved;
    expect(download.suggestedFilename()).toBe('dc_ed25519');
    await download.saveAs(path.join(home, 'Downloads', 'dc_ed25519'));
    await page.getByRole('button', { name: 'Copy: the command that puts the key in place' }).click();
    await inShell(home, await clipboard());
    expect(await page.getByLabel('Public key', { exact: true }).inputValue()).toMatch(/^ssh-ed25519 AAAA/);
    await saveScreenshot(page, 'rent');
    const total = await page.locator('#sum-total').innerText();
    await page.getByRole('button', { name: 'Pay and start' }).click();

    await page.getByRole('heading', { name: 'Your instance is ready' }).waitFor();
    const contract = await readContract(page);
    expect(contract.duration_hours).toBe(6);
    expect(await page.locator('#part-terms').innerText()).toContain(total);
    await saveScreenshot(page, 'contract');
    await page.getByRole('button', { name: 'Copy: The ssh command' }).click();
    await expect.poll(() => page.locator('#announcer').innerText()).toBe('Copied');
    const sshCommand = await clipboard();
    expect(sshCommand).toMatch(/^ssh -i ~\/\.ssh\/dc_ed25519 /);
    await page.getByText('Trust the host key without being asked').click();
    await page.getByRole('button', { name: 'Copy: The command for known_hosts' }).click();
    await inShell(home, await clipboard());
    const fingerprint = await page.locator('#fingerprint').innerText();
    expect(await inShell(home, 'ssh-keygen -lf ~/.ssh/known_hosts')).toContain(fingerprint);
    expect(await inShell(home, asTyped(sshCommand, 'echo $((6 * 7))'))).toBe('42\n');
    expect(await findBarriers(page)).toEqual([]);

    await page.getByRole('button', { name: 'Cancel contract…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Cancel it and refund' }).waitFor();
    await expect.poll(() => page.locator('#cancel-refund').innerText()).toMatch(/^\d+\.\d+ USD$/);
    const shown = e9s(await page.locator('#cancel-refund').innerText());
    expect(await findBarriers(page)).toEqual([]);
    await dialog.getByRole('button', { name: 'Cancel it and refund' }).click();
    await page.getByRole('heading', { name: 'Cancelled' }).waitFor();
    const after = await readContract(page);
    const refunded = BigInt(after.refunded!.amount_e9s);
    // It falls with every millisecond between showing and confirming, and by no more than that.
    const perSecond = BigInt(after.total.amount_e9s) / 21_600n;
    expect(refunded <= shown && shown - refunded <= 30n * perSecond).toBe(true);
    await expect
      .poll(async () =>
        e9s(/Refunded: (\S+ USD)\./.exec(await page.locator('#part-status').innerText())?.[1] ?? '0.0 USD'),
      )
      .toBe(refunded);
    await page.getByText('The instance is gone').waitFor();
    await expect(inShell(home, asTyped(sshCommand, 'true'))).rejects.toThrow();

    await page.getByRole('link', { name: 'My contracts' }).first().click();
    await page.locator('.badge').getByText('Cancelled').waitFor();
    expect(problems).toEqual([]);
    await close();
  });

  it('shows each stage with its time', async () => {
    const { page, problems, close } = await openPage(browser);
    await rent(page);
    const stages = await page.locator('.stages li').allInnerTexts();
    expect(stages).toHaveLength(5);
    for (const stage of stages) expect(stage).toMatch(/\d+(\.\d)? (ms|s)$/);
    expect(problems).toEqual([]);
    await close();
  });

  it('also shows progress when the stream of events is cut off', async () => {
    const { page, close } = await openPage(browser);
    await page.route('**/events', (route) => route.fulfill({ status: 503 }));
    await rent(page);
    expect(await page.locator('#ssh-command').innerText()).toMatch(/^ssh /);
    await close();
  });
});

describe('renting without a pointer', () => {
  it('works from the first page to the refund, on a phone in dark mode', async () => {
    const { page, problems, close } = await openPage(browser, { viewport: PHONE, colorScheme: 'dark' });
    await page.goto(system.url);
    await tabTo(page, /^Rent /);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/offerings/*');
    await expect.poll(() => page.locator('#word-12').inputValue()).not.toBe('');
    await tabTo(page, /My 12 words are saved/);
    await page.keyboard.press('Space');
    await tabTo(page, /^Continue$/);
    await page.keyboard.press('Enter');
    await page.getByText('You rent as').waitFor();
    // The focus has gone on to the first field of the order.
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('duration_hours');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('2');
    await tabTo(page, /^Public key/);
    await page.keyboard.insertText(identity.publicKey);
    await saveScreenshot(page, 'rent-phone-dark');
    await tabTo(page, /^Pay and start$/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Your instance is ready' }).waitFor();
    expect((await readContract(page)).duration_hours).toBe(2);
    await tabTo(page, /^Copy: The ssh command$/);
    expect(await findBarriers(page)).toEqual([]);
    await saveScreenshot(page, 'contract-phone-dark');
    await tabTo(page, /^Cancel contract…$/);
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    // Closing gives the focus back to where it came from.
    expect(await focusedName(page)).toMatch(/^Cancel contract…$/);
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('#cancel-confirm').isEnabled()).toBe(true);
    await tabTo(page, /^Cancel it and refund$/);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Cancelled' }).waitFor();
    await expect.poll(() => page.locator('#announcer').innerText()).toMatch(/^Cancelled/);
    expect(problems).toEqual([]);
    await close();
  });
});

describe('the account', () => {
  it('comes back in another browser with its 12 words, typed badly at first', async () => {
    const first = await openPage(browser);
    await first.page.goto(`${system.url}/login`);
    const name = `import-${Date.now().toString(36)}`;
    const words = await createIdentity(first.page, name);
    await first.page.waitForURL(`${system.url}/contracts`);
    await first.close();

    const { page, problems, close } = await openPage(browser);
    await page.goto(`${system.url}/login`);
    await page.getByRole('radio', { name: 'Import' }).check();
    await page.locator('#word-1').fill('abandn');
    await page.locator('#word-2').focus();
    await page.getByText('Did you mean “abandon”?').waitFor();
    expect(await page.locator('#word-1').getAttribute('aria-invalid')).toBe('true');
    // One word in sixteen fits the checksum by chance: take one that does not.
    const misfit = wordlist.find((word) => !validateMnemonic(words.with(0, word).join(' '), wordlist)) ?? '';
    await paste(page, '#word-1', words.with(0, misfit).join(' '));
    await page.getByText(/do not fit together/).waitFor();
    await paste(page, '#word-1', words.map((word, index) => `${index + 1}. ${word}`).join('\n'));
    await page.locator('#words-problem').waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('Save your 12 words first').waitFor();
    await page.getByLabel('My 12 words are saved').check();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL(`${system.url}/contracts`);
    await page.getByRole('link', { name }).waitFor();
    expect(problems.filter((text) => !text.includes('status of 404'))).toEqual([]);
    await close();
  });

  it('is made for imported words only after saying that they have none yet', async () => {
    const { page, close } = await openPage(browser);
    await page.goto(`${system.url}/login`);
    await page.getByRole('radio', { name: 'Import' }).check();
    await paste(
      page,
      '#word-1',
      'legal winner thank year wave sausage worth useful legal winner thank yellow',
    );
    await page.getByLabel('My 12 words are saved').check();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('No account uses these words yet').waitFor();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.waitForURL(`${system.url}/contracts`);
    await close();
  });

  it('stays in the browser as a key that cannot be read out, until it is logged out', async () => {
    const { page, problems, close } = await openPage(browser);
    await page.goto(`${system.url}/login`);
    await createIdentity(page);
    await page.waitForURL(`${system.url}/contracts`);
    const kept = await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const request = indexedDB.open('dc');
          request.onerror = () => reject(new Error('no database'));
          request.onsuccess = () => {
            const get = request.result.transaction('keys').objectStore('keys').get('account');
            get.onsuccess = () => {
              const { stored } = get.result as { stored: CryptoKey };
              resolve({
                extractable: stored.extractable,
                other: localStorage.length + sessionStorage.length,
              });
            };
          };
        }),
    );
    expect(kept).toEqual({ extractable: false, other: 0 });
    await page.context().clearCookies();
    await page.goto(`${system.url}/contracts`);
    await page.getByRole('button', { name: 'Continue with it' }).click();
    await page.waitForURL(`${system.url}/contracts`);

    await page.goto(`${system.url}/login`);
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.locator('#identity').waitFor();
    await page.goto(`${system.url}/contracts`);
    await page.locator('#identity').waitFor();
    expect(await page.locator('#returning').isVisible()).toBe(false);
    expect(problems).toEqual([]);
    await close();
  });

  it('can be used in a browser whose WebCrypto has no Ed25519', async () => {
    const { page, problems, close } = await openPage(browser);
    await page.addInitScript(() => {
      const original = SubtleCrypto.prototype.importKey;
      SubtleCrypto.prototype.importKey = function (this: SubtleCrypto, ...args: unknown[]) {
        if (args[2] === 'Ed25519')
          return Promise.reject(new DOMException('Unrecognized name.', 'NotSupportedError'));
        return Reflect.apply(original, this, args) as Promise<CryptoKey>;
      } as typeof original;
    });
    await page.goto(`${system.url}/login`);
    await createIdentity(page);
    await page.waitForURL(`${system.url}/contracts`);
    expect(problems).toEqual([]);
    await close();
  });

  it('cannot take a name that is taken', async () => {
    const name = `taken-${Date.now().toString(36)}`;
    for (const expected of [`${system.url}/contracts`, null]) {
      const { page, close } = await openPage(browser);
      await page.goto(`${system.url}/login`);
      await createIdentity(page, name);
      if (expected === null) await page.getByText('This username is taken.').waitFor();
      else await page.waitForURL(expected);
      await close();
    }
  });
});

describe('the form that rents', () => {
  it('never sends a private key, and removes it', async () => {
    const { page, close } = await openPage(browser);
    await openRentForm(page);
    const sent: string[] = [];
    page.on('request', (request) => sent.push(`${request.url()} ${request.postData() ?? ''}`));
    const field = page.getByLabel('Public key', { exact: true });
    await field.fill(readFileSync(identity.keyFile, 'utf8'));
    await page.getByText('This is a private key.').waitFor();
    expect(await field.inputValue()).toBe('');
    await page.getByRole('button', { name: 'Pay and start' }).click();
    expect(sent.filter((text) => text.includes('PRIVATE'))).toEqual([]);
    expect(page.url()).toContain('/offerings/');
    await close();
  });

  it('says what is wrong at the field, and goes there', async () => {
    const { page, close } = await openPage(browser);
    await openRentForm(page);
    const hours = page.getByLabel('Hours', { exact: true });
    for (const bad of ['0', '-1', '1.5', '999999', '']) {
      await hours.fill(bad);
      await page.locator('#duration_hours-problem').getByText('whole number').waitFor();
      expect(await page.locator('#sum-total').innerText()).toBe('?');
    }
    await page.getByRole('button', { name: 'Pay and start' }).click();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('duration_hours');
    await hours.fill('3');
    await page.getByLabel('Public key', { exact: true }).fill('ssh-ed25519 AAAA');
    await page.getByRole('button', { name: 'Pay and start' }).click();
    await page.locator('#ssh_public_key-problem').getByText('incomplete').waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('ssh_public_key');
    await close();
  });

  it('rents once when the answer was lost and Pay is pressed again', async () => {
    const { page, close } = await openPage(browser);
    await openRentForm(page);
    await page.getByLabel('Public key', { exact: true }).fill(identity.publicKey);
    let isLost = false;
    await page.route('**/api/v1/contracts', async (route) => {
      if (isLost) return route.continue();
      isLost = true;
      await route.fetch(); // The coordinator takes the order, and nobody hears of it.
      return route.abort();
    });
    await page.getByRole('button', { name: 'Pay and start' }).click();
    await page.getByText('The coordinator cannot be reached.').waitFor();
    await page.getByRole('button', { name: 'Pay and start' }).click();
    await page.waitForURL('**/contracts/*');
    await page.goto(`${system.url}/contracts`);
    expect(await page.locator('.contract').count()).toBe(1);
    await close();
  });
});

describe('an address where nothing is', () => {
  it('is a page for people', async () => {
    const { page, close } = await openPage(browser);
    const answer = await page.goto(`${system.url}/nothing/here`);
    expect(answer?.status()).toBe(404);
    await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
    await close();
  });
});

/** Nano-units of a text such as `0.05 USD`. */
function e9s(text: string): bigint {
  const [, whole = '', part = ''] = /^(\d+)\.(\d+) USD$/.exec(text) ?? [];
  return BigInt(whole + part.padEnd(9, '0'));
}

/** What the focused element is called. */
function focusedName(page: Page): Promise<string> {
  return page.evaluate(() => {
    const element = document.activeElement as HTMLInputElement | null;
    if (element === document.body) return '';
    return (
      element?.getAttribute('aria-label') ??
      element?.labels?.[0]?.textContent ??
      element?.textContent ??
      ''
    ).trim();
  });
}

/** Presses Tab until the focus is on what is called so. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  const seen: string[] = [];
  for (let presses = 0; presses < 80; presses += 1) {
    const focused = await focusedName(page);
    if (name.test(focused)) return;
    seen.push(focused);
    await page.keyboard.press('Tab');
  }
  throw new Error(`Tab never comes to ${String(name)}; it came to: ${seen.join(' | ')}`);
}

/** Pastes as a person would: through the clipboard event of a field. */
async function paste(page: Page, selector: string, text: string): Promise<void> {
  await page.locator(selector).evaluate((field, value) => {
    const data = new DataTransfer();
    data.setData('text', value);
    field.dispatchEvent(
      new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }),
    );
  }, text);
}
