/** What a browser must load before the first page can be painted: bytes on the wire, headers included. */
import { get, type IncomingHttpHeaders } from 'node:http';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { startSystem } from '../start-system.ts';
import { freePort, type Bench } from './bench.ts';
import { figure } from './figure.ts';

export const page: Bench = {
  name: 'page',
  about: 'bytes on the wire for the first paint of the page',
  async run(run) {
    const system = await startSystem({ port: await freePort(), dataDir: run.folder() });
    run.onEnd(() => system.stop());
    const document = await load(`${system.url}/`);
    const parts = findParts(document.text).map((part) => new URL(part, system.url).href);
    let wireBytes = document.wireBytes;
    let blockingBytes = document.wireBytes;
    for (const part of new Set(parts)) {
      const { wireBytes: bytes } = await load(part);
      wireBytes += bytes;
      if (part.endsWith('.css')) blockingBytes += bytes;
      run.progress(`${new URL(part).pathname}: ${String(bytes)} bytes`);
    }
    return [
      figure('first paint and everything that the page loads', 'kB', wireBytes / 1000, {
        target: { atMost: 60 },
      }),
      figure('of it, what the first paint waits for', 'kB', blockingBytes / 1000),
    ];
  },
};

/** Every address that the document loads by itself: styles, scripts, their preloads, images. */
function findParts(html: string): string[] {
  const tags = html.match(/<(?:link|script|img|source|iframe)\b[^>]*>/g) ?? [];
  return tags
    .filter((tag) => !/rel="?(?:canonical|alternate|author|license)\b/.test(tag))
    .map((tag) => /\b(?:href|src)="([^"]+)"/.exec(tag)?.[1])
    .filter((address) => address !== undefined && !address.startsWith('data:'))
    .map((address) => address ?? '');
}

interface Loaded {
  text: string;
  /** What came over the connection for it. */
  wireBytes: number;
}

function load(url: string): Promise<Loaded> {
  return new Promise((resolve, reject) => {
    const headers = { accept: 'text/html,*/*', 'accept-encoding': 'br, gzip', connection: 'close' };
    get(url, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        if (response.statusCode !== 200) {
          reject(new Error(`${url} answers ${String(response.statusCode)}`));
          return;
        }
        const text = decode(Buffer.concat(chunks), response.headers).toString();
        resolve({ text, wireBytes: response.socket.bytesRead });
      });
    }).once('error', reject);
  });
}

function decode(body: Buffer, headers: IncomingHttpHeaders): Buffer {
  switch (headers['content-encoding']) {
    case 'br':
      return brotliDecompressSync(body);
    case 'gzip':
      return gunzipSync(body);
    default:
      return body;
  }
}
