import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { get } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  aContract,
  CONTRACTS,
  HOSTILE,
  OFFERINGS,
  previewData,
  PROVIDERS,
  PROVIDER_KEY,
} from './testing/preview-data.ts';
import { startPreview, type Preview } from './testing/preview-server.ts';

let anonymous: Preview;
let signedIn: Preview;
let broken: Preview;
let empty: Preview;
beforeAll(async () => {
  anonymous = await startPreview();
  signedIn = await startPreview({ signedIn: true });
  const none = { items: [], nextCursor: null };
  empty = await startPreview({
    signedIn: true,
    data: previewData({
      listOfferings: async () => none,
      listContracts: async () => none,
      paymentMethods: () => [],
    }),
  });
  const listOfferings = () => Promise.reject(new Error('secret: the database is at /var/lib/x'));
  broken = await startPreview({ data: previewData({ listOfferings }) });
});
afterAll(() => Promise.all([anonymous, signedIn, broken, empty].map((server) => server.stop())));

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  bytes: Buffer;
  text: string;
}

/** Fetches without decoding, following or changing anything. */
function fetchRaw(server: Preview, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get(`${server.url}${path}`, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          bytes,
          text: bytes.toString(),
        });
      });
    }).on('error', reject);
  });
}

const PAGES = [
  '/',
  '/?q=x&country=DE&min_cpu=abc&max_price=0.5&in_stock=true&utm_source=y',
  '/login',
  '/contracts',
  ...OFFERINGS.map(({ id }) => `/offerings/${id}`),
  ...CONTRACTS.map(({ id }) => `/contracts/${id}`),
  ...PROVIDERS.map(({ pubkey }) => `/providers/${pubkey}`),
  '/offerings/nothing',
];

describe('every page', () => {
  it('forbids everything that is not ours, and has nothing inline', async () => {
    for (const path of PAGES) {
      const { headers, text } = await fetchRaw(signedIn, path);
      expect(headers['content-security-policy']).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
      );
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'same-origin',
        'cross-origin-opener-policy': 'same-origin',
        'content-type': 'text/html; charset=utf-8',
      });
      expect(text, path).not.toMatch(/<script(?![^>]*\ssrc="\/assets\/)/);
      expect(text, path).not.toMatch(/<style|\sstyle="|<[a-z][^<>]*\son[a-z]+="/);
      expect(text, path).not.toMatch(/(?:src|href)="https?:/);
    }
  });

  it('shows a hostile title as text', async () => {
    for (const path of [
      '/',
      `/offerings/${OFFERINGS[4]!.id}`,
      `/providers/${PROVIDER_KEY}`,
      `/?q=${encodeURIComponent(HOSTILE)}`,
    ]) {
      const { text } = await fetchRaw(signedIn, path);
      expect(text).not.toContain('<img');
      expect(text).not.toContain('<script>');
      expect(text).toContain('&quot;&gt;&lt;img src=x');
    }
  });

  it('has one heading of the first level, a main part, a language and a title of its own', async () => {
    const titles = new Map<string, string>();
    for (const path of PAGES.filter((path) => !path.startsWith('/?') && !path.startsWith('/contracts/'))) {
      const { text } = await fetchRaw(signedIn, path);
      expect(text.match(/<h1/g), path).toHaveLength(1);
      expect(text.match(/<main id="main"/g), path).toHaveLength(1);
      expect(text).toContain('<html lang="en">');
      titles.set(path, /<title>([^<]*)/.exec(text)?.[1] ?? '');
    }
    expect(new Set(titles.values()).size).toBe(titles.size);
  });

  it('never shows a key of 64 digits as a name', async () => {
    for (const path of PAGES) {
      const { text } = await fetchRaw(signedIn, path);
      expect(text.replace(/<code[^>]*>[^<]*<\/code>/g, '').replace(/<[^>]*>/g, ''), path).not.toMatch(
        /[0-9a-f]{64}/,
      );
    }
  });

  it('needs less than 60 kB for its first paint, its scripts included', async () => {
    for (const path of PAGES) {
      const page = await fetchRaw(signedIn, path, { 'accept-encoding': 'br' });
      const text = brotliDecompressSync(page.bytes).toString();
      const addresses = [...text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(
        ([, address]) => address ?? '',
      );
      const assets = await Promise.all(
        addresses.map((address) => fetchRaw(signedIn, address, { 'accept-encoding': 'br' })),
      );
      expect(assets.length).toBeGreaterThan(2);
      const sum = [page, ...assets].reduce((bytes, answer) => bytes + answer.bytes.length, 0);
      expect(sum, path).toBeLessThan(60_000);
    }
  });
});

describe('a page', () => {
  it('is compressed as the browser asks', async () => {
    const plain = await fetchRaw(anonymous, '/');
    const gzipped = await fetchRaw(anonymous, '/', { 'accept-encoding': 'gzip, deflate' });
    const brotli = await fetchRaw(anonymous, '/', { 'accept-encoding': 'gzip, br;q=1.0' });
    const refused = await fetchRaw(anonymous, '/', { 'accept-encoding': 'br;q=0, gzip;q=0' });
    expect(gzipped.headers['content-encoding']).toBe('gzip');
    expect(gunzipSync(gzipped.bytes).toString()).toBe(plain.text);
    expect(brotli.headers['content-encoding']).toBe('br');
    expect(brotliDecompressSync(brotli.bytes).toString()).toBe(plain.text);
    expect(refused.headers['content-encoding']).toBeUndefined();
    expect(refused.text).toBe(plain.text);
  });

  it('is kept nowhere when it is somebody’s own', async () => {
    expect((await fetchRaw(signedIn, '/contracts')).headers['cache-control']).toBe('private, no-store');
    expect((await fetchRaw(anonymous, '/')).headers['cache-control']).toBe('private, no-cache');
  });

  it('says what is not there as a page, with the right status', async () => {
    const unknown = '01900000-0000-7000-8000-00000000ffff';
    for (const path of [
      `/offerings/${unknown}`,
      '/offerings/1',
      `/contracts/${unknown}`,
      '/contracts/x',
      `/providers/${'0'.repeat(64)}`,
      '/providers/x',
    ]) {
      const answer = await fetchRaw(signedIn, path);
      expect(answer.status, path).toBe(404);
      expect(answer.text).toContain('There is no such');
    }
  });

  it('says that it failed without saying how', async () => {
    const answer = await fetchRaw(broken, '/');
    expect(answer.status).toBe(500);
    expect(answer.text).toContain('preview'); // The trace id.
    expect(answer.text).not.toContain('secret');
  });

  it('says that nothing is there where nothing is', async () => {
    expect((await fetchRaw(empty, '/')).text).toContain('No offerings yet');
    expect((await fetchRaw(empty, '/contracts')).text).toContain('You have not rented anything yet');
    expect((await fetchRaw(signedIn, `/providers/${PROVIDERS[1]!.pubkey}`)).text).toContain('No data yet');
  });
});

describe('renting', () => {
  it('is possible where a place is free, and says why where it is not', async () => {
    const page = async (server: Preview, index: number) =>
      (await fetchRaw(server, `/offerings/${OFFERINGS[index]!.id}`)).text;
    const pay = (text: string) => /<button[^>]*id="pay"[^>]*>/.exec(text)?.[0] ?? '';
    expect(pay(await page(signedIn, 0))).not.toContain('disabled');
    for (const [server, index, reason] of [
      [signedIn, 2, 'Sold out'],
      [signedIn, 3, 'offline'],
      [empty, 0, 'no payments'],
    ] as const) {
      const text = await page(server, index);
      expect(pay(text)).toContain('disabled');
      expect(/id="pay-reason">([\s\S]*?)<\/p>/.exec(text)?.[1]).toContain(reason);
    }
  });

  it('shows the exact total for the first choice before any script runs', async () => {
    const { text } = await fetchRaw(anonymous, `/offerings/${OFFERINGS[1]!.id}`);
    expect(/<output[^>]*>\s*([^<]*?)\s*<\/output/.exec(text)?.[1]).toBe('7.38 USD');
  });

  it('says that a test payment moves no money', async () => {
    expect((await fetchRaw(anonymous, `/offerings/${OFFERINGS[0]!.id}`)).text).toContain(
      'Test payment: no real money',
    );
  });
});

describe('signing in', () => {
  it('is where a reader without a session is sent, and from where they come back', async () => {
    for (const path of ['/contracts', `/contracts/${aContract(0, 'active').id}`]) {
      const answer = await fetchRaw(anonymous, path);
      expect(answer.status).toBe(303);
      expect(answer.headers.location).toBe(`/login?next=${path}`);
      expect((await fetchRaw(anonymous, answer.headers.location!)).text).toContain(`data-next="${path}"`);
    }
  });

  it('sends nobody to another site afterwards', async () => {
    for (const next of [
      'https://evil.example',
      '//evil.example',
      '/\\evil.example',
      'javascript:alert(1)',
      '/contracts/../../x',
      '/api/v1/x',
    ]) {
      const { text } = await fetchRaw(anonymous, `/login?next=${encodeURIComponent(next)}`);
      expect(text).toContain('data-next="/contracts"');
    }
  });

  it('offers a new and an imported account with the same fields', async () => {
    const { text } = await fetchRaw(anonymous, '/login');
    expect(text.match(/class="word"/g)).toHaveLength(12);
    expect(text).toContain('Create new');
    expect(text).toContain('Import');
  });
});

describe('an asset', () => {
  const styleOf = async () =>
    /href="(\/assets\/page-[^"]+\.css)"/.exec((await fetchRaw(anonymous, '/')).text)![1]!;

  it('is kept for ever under its name', async () => {
    const answer = await fetchRaw(anonymous, await styleOf());
    expect(answer.headers).toMatchObject({
      'cache-control': 'public, max-age=31536000, immutable',
      'content-type': 'text/css; charset=utf-8',
      vary: 'accept-encoding',
    });
  });

  it('is not sent again to who has it', async () => {
    const style = await styleOf();
    const { headers } = await fetchRaw(anonymous, style);
    const again = await fetchRaw(anonymous, style, { 'if-none-match': headers.etag! });
    expect(again.status).toBe(304);
    expect(again.bytes).toHaveLength(0);
  });

  it('is 404 under any other name', async () => {
    for (const name of ['page-00000000.css', '..%2f..%2fpackage.json', 'manifest.json']) {
      expect((await fetchRaw(anonymous, `/assets/${name}`)).status).toBe(404);
    }
  });
});
