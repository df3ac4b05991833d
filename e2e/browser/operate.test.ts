/** What renters, providers and administrators do with a running contract, in Chromium against the real system. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { seedFromHex, SigningKey } from '@dc/shared/crypto/ed25519';
import { toHex } from '@dc/shared/ids';
import type { WireContract } from '@dc/shared/wire/contract';
import { loginMessage } from '../../coordinator/src/web/identity/sign-browser-request.ts';
import { makeSshIdentity, type SshIdentity } from '../ssh-login.ts';
import { startSystem, type RunningSystem } from '../start-system.ts';
import { freePort } from '../testing/system-under-test.ts';
import { findBarriers } from './accessibility.ts';
import { openBrowser, openPage } from './open-browser.ts';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../..');

let folder: string;
let dataDir: string;
let system: RunningSystem;
let browser: Browser;
let identity: SshIdentity;
beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'dc-operate-'));
  dataDir = path.join(folder, 'data');
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

/** Makes an account in the page, and rents the first offering until it runs. */
async function rent(page: Page): Promise<void> {
  await page.goto(`${system.url}/login`);
  await signUp(page);
  await page.goto(system.url);
  await page
    .getByRole('link', { name: /^Rent / })
    .first()
    .click();
  await page.getByLabel('Public key', { exact: true }).fill(identity.publicKey);
  await page.getByRole('button', { name: 'Pay and start' }).click();
  await page.getByRole('heading', { name: 'Your instance is ready' }).waitFor();
}

async function signUp(page: Page): Promise<void> {
  await expect.poll(() => page.locator('#word-12').inputValue()).not.toBe('');
  await page.getByLabel('My 12 words are saved').check();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.waitForURL(`${system.url}/contracts`);
}

const readContract = (page: Page): Promise<WireContract> =>
  page.evaluate(async (): Promise<WireContract> => {
    const response = await fetch(`/api/v1${location.pathname}`);
    return (await response.json()) as WireContract;
  });

/** Signs in with a key that is not in the browser. */
async function signIn(page: Page, key: SigningKey): Promise<void> {
  const post = async (url: string, data: object) =>
    (await page.request.post(`${system.url}/api/v1${url}`, { data })).json() as Promise<{
      challenge: string;
    }>;
  const { challenge } = await post('/sessions/challenge', { public_key: key.publicKey });
  const signature = toHex(key.sign(Buffer.from(loginMessage(new URL(system.url).host, challenge))));
  await post('/sessions', { public_key: key.publicKey, challenge, signature });
}

/** Runs one of the two programs beside the one that runs. */
async function program(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [file, ...args], { cwd: ROOT, timeout: 30_000 });
  return stdout;
}

const agent = (...args: string[]): Promise<string> =>
  program('agent/src/main.ts', '--config', path.join(dataDir, 'agent', 'dc-agent.toml'), ...args);

it('a renter extends at the price that was shown', async () => {
  const { page, problems, close } = await openPage(browser);
  await rent(page);
  const before = await readContract(page);
  await page.getByRole('button', { name: 'Extend…' }).click();
  const dialog = page.locator('#extend-dialog');
  await dialog.getByLabel('Hours more').fill('48');
  expect(await dialog.locator('#extend-price').innerText()).toBe('0.384 USD');
  expect(await findBarriers(page)).toEqual([]);
  await dialog.getByLabel('Hours more').fill('0');
  await expect.poll(() => dialog.getByRole('button', { name: /^Extend/ }).isDisabled()).toBe(true);
  await dialog.getByLabel('Hours more').fill('48');
  await dialog.getByRole('button', { name: 'Extend by 2 days' }).click();
  await dialog.waitFor({ state: 'hidden' });
  await expect.poll(async () => (await readContract(page)).duration_hours).toBe(before.duration_hours + 48);
  const after = await readContract(page);
  expect(Date.parse(after.ends_at!) - Date.parse(before.ends_at!)).toBe(48 * 3_600_000);
  expect(BigInt(after.total.amount_e9s) - BigInt(before.total.amount_e9s)).toBe(384_000_000n);
  expect(problems).toEqual([]);
  await close();
});

it('a provider’s maintenance is announced to its renters, stops sales, and is in its history', async () => {
  const renter = await openPage(browser);
  await rent(renter.page);
  const provider = await openPage(browser);
  const seed = readFileSync(path.join(dataDir, 'provider.key'), 'utf8').trim();
  await signIn(provider.page, SigningKey.fromSeed(seedFromHex(seed)));

  expect(await agent('maintenance', 'start', '--for', '2h')).toContain('Maintenance until');
  await renter.page.locator('#announcement').waitFor();
  expect(await renter.page.locator('#announcement').innerText()).toContain('Announced until');
  await provider.page.goto(`${system.url}/providers/${system.providerKey}`);
  const main = provider.page.locator('main');
  await expect.poll(() => main.innerText()).toContain('Maintenance until');
  expect(await main.innerText()).toContain('take no new work');
  expect(await main.innerText()).toContain('Announced maintenance');
  expect(await findBarriers(provider.page)).toEqual([]);
  await renter.page.goto(`${system.url}/providers/${system.providerKey}`);
  expect(await renter.page.locator('main').innerText()).not.toContain('For you to look at');
  const { status } = await renter.page.evaluate(async () => {
    const { items } = (await (await fetch('/api/v1/offerings')).json()) as { items: { in_stock: boolean }[] };
    return { status: items.some(({ in_stock }) => in_stock) };
  });
  expect(status).toBe(false);

  expect(await agent('maintenance', 'end')).toContain('over');
  await system.untilReady();
  expect(await agent('status')).not.toContain('maintenance');
  expect([...renter.problems, ...provider.problems]).toEqual([]);
  await renter.close();
  await provider.close();
});

it('an administrator pauses a contract with a reason that its renter sees, and resumes it', async () => {
  const renter = await openPage(browser);
  await rent(renter.page);
  const admin = await openPage(browser);
  await admin.page.goto(`${system.url}/login`);
  await signUp(admin.page);
  const pubkey = await admin.page.evaluate(
    async () => ((await (await fetch('/api/v1/accounts/me')).json()) as { pubkey: string }).pubkey,
  );
  const config = path.join(dataDir, 'coordinator.toml');
  await program('coordinator/src/main.ts', 'admin', 'grant-admin', pubkey, '--config', config);

  expect(await renter.page.locator('#operator').count()).toBe(0);
  await admin.page.goto(renter.page.url());
  await admin.page.getByLabel('Reason, shown to the renter').fill('A report of abuse');
  expect(await findBarriers(admin.page)).toEqual([]);
  await admin.page.getByRole('button', { name: 'Pause contract' }).click();
  await renter.page.getByRole('heading', { name: 'Your instance is paused' }).waitFor();
  await renter.page.getByText('History').click();
  expect(await renter.page.locator('#part-history').innerText()).toContain('A report of abuse');
  expect(await renter.page.getByRole('button', { name: 'Extend…' }).count()).toBe(0);
  await admin.page.getByRole('button', { name: 'Resume contract' }).click();
  await renter.page.getByRole('heading', { name: 'Your instance is ready' }).waitFor();
  expect([...renter.problems, ...admin.problems]).toEqual([]);
  await renter.close();
  await admin.close();
});
