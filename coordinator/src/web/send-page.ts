/** Sends pages and assets: security headers, compression, caching. */
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Asset } from './assets/build-assets.ts';

/**
 * Nothing but our own files runs, loads or frames anything; forms go nowhere else. Inline scripts and styles do not
 * run, so that an escaping bug stays a cosmetic one.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

// Below this a packet holds it anyway.
const COMPRESS_BYTES_MIN = 1024;
// Pages are compressed as they are sent: a level that takes less than a millisecond.
const BROTLI_QUALITY = 4;

/** Where an answer goes. */
export interface Exchange {
  request: FastifyRequest;
  reply: FastifyReply;
}

/** Sends a page. One that shows somebody's own things (`isPersonal`) is kept nowhere, also not for the back button. */
export async function sendPage(
  { request, reply }: Exchange,
  page: { status: number; text: string; isPersonal: boolean; headers?: Readonly<Record<string, string>> },
): Promise<void> {
  const bytes = Buffer.from(page.text);
  const encoding = bytes.length < COMPRESS_BYTES_MIN ? null : chooseEncoding(request);
  const body =
    encoding === 'br'
      ? await promisify(brotliCompress)(bytes, {
          params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY },
        })
      : encoding === 'gzip'
        ? await promisify(gzip)(bytes)
        : bytes;
  await reply
    .code(page.status)
    .headers({
      ...SECURITY_HEADERS,
      'content-type': 'text/html; charset=utf-8',
      'cache-control': page.isPersonal ? 'private, no-store' : 'private, no-cache',
      vary: 'accept-encoding, cookie',
      ...(encoding === null ? {} : { 'content-encoding': encoding }),
      ...page.headers,
    })
    .send(body);
}

/** Sends the reader on to another path of ours. */
export async function sendRedirect({ reply }: Exchange, to: string): Promise<void> {
  await reply
    .code(303)
    .headers({ ...SECURITY_HEADERS, location: to, 'cache-control': 'no-store' })
    .send('');
}

/** Sends a file that never changes under its name. */
export async function sendAsset({ request, reply }: Exchange, asset: Asset): Promise<void> {
  const etag = `"${asset.name}"`; // The name holds the hash of the content.
  reply.headers({
    ...SECURITY_HEADERS,
    'cache-control': 'public, max-age=31536000, immutable',
    etag,
    vary: 'accept-encoding',
  });
  if (request.headers['if-none-match'] === etag) {
    await reply.code(304).send();
    return;
  }
  const encoding = chooseEncoding(request);
  if (encoding !== null) reply.header('content-encoding', encoding);
  const body = encoding === 'br' ? asset.brotli : encoding === 'gzip' ? asset.gzip : asset.bytes;
  await reply.code(200).header('content-type', asset.mediaType).send(body);
}

function chooseEncoding(request: FastifyRequest): 'br' | 'gzip' | null {
  const accepted = request.headers['accept-encoding'];
  const text = typeof accepted === 'string' ? accepted : '';
  if (/\bbr\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(text)) return 'br';
  return /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/.test(text) ? 'gzip' : null;
}
