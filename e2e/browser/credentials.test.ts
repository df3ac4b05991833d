/** A new password and another key in Chromium against the real system, each tried with the system's own `ssh`. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { WireContract } from '@dc/shared/wire/contract';
import { makeSshIdentity, sshRun, sshRunByPassword, type SshIdentity } from '../ssh-login.ts';
import { startSystem, type RunningSystem } from '../start-system.ts';
import { freePort } from '../testing/system-under-test.ts';
import { findBarriers } from './accessibility.ts';
import { openBrowser, openPage } from './open-browser.ts';

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

/** Signs in with a new account, rents, and answers the words. */
async function rent(page: Page): Promise<string[]> {
  await page.goto(`${system.url}/login`);
  await expect.poll(() => page.locator('#word-12').inputValue()).not.toBe('');
  const words = await page
    .locator('.word')
    .evaluateAll((fields) => fields.map((field) => (field as HTMLInputElement).value));
  await page.getByLabel('My 12 words are saved').check();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(`${system.url}/contracts`);
  await page.goto(system.url);
  await page
    .getByRole('link', { name: /^Rent / })
    .first()
    .click();
  await page.getByLabel('Public key', { exact: true }).fill(identity.publicKey);
  await page.getByRole('button', { name: 'Pay and start' }).click();
  await page.getByRole('heading', { name: 'Your instance is ready' }).waitFor();
  return words;
}

function readContract(page: Page): Promise<WireContract> {
  return page.evaluate(async (): Promise<WireContract> => {
    const response = await fetch(`/api/v1${location.pathname}`);
    return (await response.json()) as WireContract;
  });
}

/** Asks for a password and waits until it can be shown. */
async function makePassword(page: Page): Promise<void> {
  const before = (await readContract(page)).credentials?.password_made_at ?? null;
  await page.getByRole('button', { name: 'New password…' }).click();
  await page.getByRole('button', { name: 'Make a new password' }).click();
  await expect
    .poll(async () => (await readContract(page)).credentials?.password_made_at ?? null, { timeout: 15_000 })
    .not.toBe(before);
  await page.getByRole('button', { name: 'Show password' }).waitFor();
}

/** Opens the dialog, reads the password, and closes it again. */
async function readPassword(page: Page, words?: string[]): Promise<string> {
  await page.getByRole('button', { name: 'Show password' }).click();
  const dialog = page.getByRole('dialog', { name: 'Password' });
  if (words !== undefined) {
    await dialog.getByLabel('Your 12 words').fill(words.join(' '));
    await dialog.getByRole('button', { name: 'Open' }).click();
  }
  const secret = dialog.locator('#secret');
  await expect.poll(() => secret.innerText()).not.toBe('');
  const password = await secret.innerText();
  expect(await findBarriers(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expect.poll(() => page.content()).not.toContain(password);
  return password;
}

const loginFolder = (name: string): string => {
  const place = path.join(folder, name);
  mkdirSync(place);
  return place;
};

it('makes a password that only the renter’s browser opens, and that logs in until the next one is made', async () => {
  const { page, problems, close } = await openPage(browser);
  const words = await rent(page);
  const access = (await readContract(page)).access!;
  await makePassword(page);
  const first = await readPassword(page);
  const asUser = (password: string, name: string): Promise<string> =>
    sshRunByPassword(loginFolder(name), { access, password }, 'echo $((6 * 7))');
  expect(await asUser(first, 'first')).toBe('42\n');

  await makePassword(page);
  const second = await readPassword(page);
  expect(await asUser(second, 'second')).toBe('42\n');
  await expect(asUser(first, 'first-again')).rejects.toThrow('Permission denied');
  expect(await sshRun(identity, access, 'echo by key')).toBe('by key\n');

  // A browser that has forgotten the key opens it with the words, and with these words only.
  await page.evaluate(
    () =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('dc', 1);
        opening.onsuccess = () => {
          const clearing = opening.result.transaction('keys', 'readwrite').objectStore('keys').clear();
          clearing.onsuccess = () => {
            opening.result.close();
            resolve();
          };
          clearing.onerror = () => reject(new Error('the key stays'));
        };
      }),
  );
  await page.reload();
  await page.getByRole('button', { name: 'Show password' }).click();
  const dialog = page.getByRole('dialog', { name: 'Password' });
  const foreign = 'legal winner thank year wave sausage worth useful legal winner thank yellow';
  await dialog.getByLabel('Your 12 words').fill(foreign);
  await dialog.getByRole('button', { name: 'Open' }).click();
  await dialog.getByText('It was not sealed to the key of these words.').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  expect(await readPassword(page, words)).toBe(second);
  expect(problems).toEqual([]);
  await close();
});

it('changes the SSH key: the new one opens, the old one does not, and a private key never leaves the page', async () => {
  const { page, problems, close } = await openPage(browser);
  await rent(page);
  const access = (await readContract(page)).access!;
  const next = await makeSshIdentity(loginFolder('next'));
  expect(await sshRun(identity, access, 'echo old')).toBe('old\n');
  await page.getByRole('button', { name: 'Change SSH key…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Change the SSH key' });
  await dialog.getByLabel('New public key').fill('-----BEGIN OPENSSH PRIVATE KEY-----');
  expect(await dialog.getByLabel('New public key').inputValue()).toBe('');
  expect(await findBarriers(page)).toEqual([]);
  await dialog.getByLabel('New public key').fill(next.publicKey);
  await dialog.getByRole('button', { name: 'Change the key' }).click();
  await expect
    .poll(async () => (await readContract(page)).timeline.at(-1)?.reason, { timeout: 15_000 })
    .toContain('The SSH key was changed');
  expect(await sshRun(next, access, 'echo new')).toBe('new\n');
  await expect(sshRun(identity, access, 'echo old')).rejects.toThrow('Permission denied');
  expect(problems).toEqual([]);
  await close();
});
