import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AppError } from '../errors.ts';
import { aKey, clockAt, codeOf, countingRandom, failureOf } from '../testing/keys.ts';
import { digestOf, signRequest } from './sign-request.ts';
import { isSigned, SKEW_MAX_S, verifyRequest, type IncomingRequest } from './verify-request.ts';

const NOW_MS = Date.parse('2026-11-20T12:00:00.000Z');
const key = aKey('renter');
const random = countingRandom();

/** A signed request as the server sees it. `ageS` is how long ago it was signed. */
function aRequest(
  options: { method?: string; target?: string; body?: string; ageS?: number } = {},
): IncomingRequest {
  const { method = 'POST', target = '/api/v1/contracts?dry=1', body = '{"hours":3}', ageS = 0 } = options;
  const bytes = Buffer.from(body);
  const url = new URL(`http://rent.example:8787${target}`);
  const signer = { key, clock: clockAt(NOW_MS - ageS * 1000), random };
  const headers = signRequest({ method, url, body: bytes }, signer);
  return { method, authority: 'rent.example:8787', target, headers, body: bytes };
}

/** `request` with one header replaced; undefined takes it away. */
const withHeader = (
  request: IncomingRequest,
  name: string,
  value: string | string[] | undefined,
): IncomingRequest => ({
  ...request,
  headers: { ...request.headers, [name]: value },
});

/** `request` with its Signature-Input rewritten, and signed again over what it then says, as a careless client would. */
function resigned(request: IncomingRequest, rewrite: (input: string) => string): IncomingRequest {
  const before = request.headers['signature-input'] as string;
  const after = rewrite(before);
  expect(after).not.toBe(before);
  const parameters = after.replace(/^dc=/, '');
  const [names = ''] = /^\([^)]*\)/.exec(parameters) ?? [];
  const [path = '', query = ''] = request.target.split(/(?=\?)/);
  const values: Record<string, string> = {
    '@method': request.method,
    '@authority': request.authority,
    '@path': path,
    '@query': query,
    'content-digest': String(request.headers['content-digest']),
    host: request.authority,
  };
  const lines = [...names.matchAll(/"([^"]*)"/g)].map(([, name = '']) => `"${name}": ${values[name] ?? ''}`);
  const base = [...lines, `"@signature-params": ${parameters}`].join('\n');
  const signature = `dc=:${key.sign(Buffer.from(base)).toString('base64')}:`;
  return withHeader(withHeader(request, 'signature-input', after), 'signature', signature);
}

const verifyNow = (request: IncomingRequest) => verifyRequest(request, NOW_MS);
const refusal = (request: IncomingRequest) => codeOf(() => verifyNow(request));

describe('a request signed as PROTOCOL says', () => {
  it('is taken, and names its key and its nonce', () => {
    const request = aRequest();
    const nonce = /nonce="([^"]*)"/.exec(request.headers['signature-input'] as string)![1];
    expect(verifyNow(request)).toEqual({ keyid: key.publicKey, nonce, nonceExpiresAt: NOW_MS + 301_000 });
  });

  it.each([
    ['no body', aRequest({ method: 'GET', body: '' })],
    ['no body, with a Content-Length of 0', withHeader(aRequest({ body: '' }), 'content-length', '0')],
    ['no query', aRequest({ target: '/api/v1/contracts' })],
    ['an empty query', aRequest({ target: '/api/v1/contracts?' })],
    ['an authority in upper case', { ...aRequest(), authority: 'RENT.Example:8787' }],
    ['a second digest by another algorithm', twoDigests()],
    ['a signature by somebody else beside ours', besideAnother()],
  ])('is taken with %s', (_name, request) => expect(verifyNow(request).keyid).toBe(key.publicKey));

  it('is taken when our helper for the refusals signs it again', () => {
    expect(verifyNow(resigned(aRequest(), (input) => `${input};expires=${NOW_MS / 1000 + 5}`)).keyid).toBe(
      key.publicKey,
    );
  });
});

function twoDigests(): IncomingRequest {
  const request = aRequest();
  const both = `sha-512=:AAAA:, ${digestOf(request.body)}`;
  return resigned(
    withHeader(request, 'content-digest', both),
    (input) => `${input};expires=${NOW_MS / 1000}`,
  );
}

function besideAnother(): IncomingRequest {
  const request = aRequest();
  const input = `proxy=("@method" "x-forwarded-for");created=1;keyid="k", ${String(request.headers['signature-input'])}`;
  const signature = `proxy=:AAAA:, ${String(request.headers['signature'])}`;
  return withHeader(withHeader(request, 'signature-input', input), 'signature', signature);
}

describe('time', () => {
  it.each([-SKEW_MAX_S, -1, 0, 1, SKEW_MAX_S])('takes a signature of %i s ago', (ageS) => {
    expect(verifyNow(aRequest({ ageS })).nonceExpiresAt).toBe(NOW_MS - ageS * 1000 + 301_000);
  });

  it.each([
    [301, 'was made 301 s ago; 300 s are allowed'],
    [-301, 'was made 301 s in the future; 300 s are allowed'],
    [86_400 * 365, 'ago'],
  ])('refuses one of %i s ago, and says what time it is here', (ageS, words) => {
    const error = errorOf(() => verifyNow(aRequest({ ageS })));
    expect(error.code).toBe('SIGNATURE_SKEW');
    expect(error.message).toContain(words);
    expect(error.extra).toEqual({ server_time: '2026-11-20T12:00:00.000Z' });
  });

  it('forgets a nonce only when the request could not come again', () => {
    const request = aRequest();
    const { nonceExpiresAt } = verifyNow(request);
    expect(codeOf(() => verifyRequest(request, NOW_MS + 300_000))).toBe('none');
    expect(codeOf(() => verifyRequest(request, nonceExpiresAt))).toBe('SIGNATURE_SKEW');
  });

  it('obeys the expiry of the signature itself', () => {
    const expiring = (atS: number) => resigned(aRequest(), (input) => `${input};expires=${atS}`);
    expect(refusal(expiring(NOW_MS / 1000))).toBe('none');
    expect(failureOf(() => verifyNow(expiring(NOW_MS / 1000 - 1)))).toEqual([
      'SIGNATURE_SKEW',
      'The signature has expired by its own word.',
    ]);
  });
});

describe('another request than the one that was signed', () => {
  it.each<[string, (request: IncomingRequest) => IncomingRequest]>([
    ['another method', (request) => ({ ...request, method: 'PUT' })],
    ['the method in lower case', (request) => ({ ...request, method: 'post' })],
    ['another host', (request) => ({ ...request, authority: 'other.example:8787' })],
    ['another port', (request) => ({ ...request, authority: 'rent.example' })],
    ['the path in another case', (request) => ({ ...request, target: '/API/v1/contracts?dry=1' })],
    ['a slash more', (request) => ({ ...request, target: '/api/v1/contracts/?dry=1' })],
    ['a dot segment', (request) => ({ ...request, target: '/api/./v1/contracts?dry=1' })],
    ['an escape for a letter', (request) => ({ ...request, target: '/api/v1/%63ontracts?dry=1' })],
    ['the absolute form', (request) => ({ ...request, target: `http://rent.example:8787${request.target}` })],
    ['no query', (request) => ({ ...request, target: '/api/v1/contracts' })],
    ['an empty query', (request) => ({ ...request, target: '/api/v1/contracts?' })],
    ['one more parameter', (request) => ({ ...request, target: `${request.target}&x=1` })],
    ['a fragment', (request) => ({ ...request, target: `${request.target}#x` })],
  ])('is refused: %s', (_name, change) => expect(refusal(change(aRequest()))).toBe('SIGNATURE_INVALID'));

  it('is refused with the parameters of its query in another order', () => {
    const request = aRequest({ method: 'GET', body: '', target: '/x?a=1&b=2' });
    expect(refusal({ ...request, target: '/x?b=2&a=1' })).toBe('SIGNATURE_INVALID');
  });

  it('is refused with another body, an added one or none', () => {
    expect(refusal({ ...aRequest(), body: Buffer.from('{"hours":4}') })).toBe('DIGEST_MISMATCH');
    expect(refusal({ ...aRequest({ body: '' }), body: Buffer.from('{"hours":4}') })).toBe(
      'SIGNATURE_MALFORMED',
    );
    expect(refusal({ ...aRequest(), body: Buffer.alloc(0) })).toBe('SIGNATURE_MALFORMED');
  });

  it('is refused when signed by another key than it names', () => {
    const other = aKey('somebody else').publicKey;
    const input = (aRequest().headers['signature-input'] as string).replace(key.publicKey, other);
    expect(refusal(withHeader(aRequest(), 'signature-input', input))).toBe('SIGNATURE_INVALID');
  });
});

it('a key of small order is called weak, not its signature wrong', () => {
  const weak = '0'.repeat(64);
  const input = (aRequest().headers['signature-input'] as string).replace(key.publicKey, weak);
  expect(refusal(withHeader(aRequest(), 'signature-input', input))).toBe('KEY_WEAK');
});

describe('the digest', () => {
  const request = aRequest();
  const good = request.headers['content-digest'] as string;

  it.each<[string, string | string[] | undefined]>([
    ['missing', undefined],
    ['empty', ''],
    ['there twice', [good, good]],
    ['there twice in one line', `${good}, ${good}`],
    ['of another body', digestOf(Buffer.from('other'))],
    ['only by another algorithm', good.replace('sha-256', 'sha-512')],
    ['in hex', `sha-256=${Buffer.from(good.slice(9, -1), 'base64').toString('hex')}`],
    ['without its colons', good.replace(/:/g, '')],
    ['without padding', good.replace('=:', ':')],
    ['named in capitals', good.replace('sha', 'SHA')],
    ['cut off', good.slice(0, -1)],
    ['followed by junk', `${good}junk`],
  ])('is refused when it is %s', (_name, value) => {
    expect(refusal(withHeader(request, 'content-digest', value))).toBe('DIGEST_MISMATCH');
  });

  it('must be covered where there is a body, and only there', () => {
    const uncovered = resigned(aRequest(), (input) => input.replace(' "content-digest"', ''));
    expect(refusal(uncovered)).toBe('SIGNATURE_MALFORMED');
    const covered = resigned(
      withHeader(aRequest({ body: '' }), 'content-digest', digestOf(Buffer.alloc(0))),
      (input) => input.replace('"@query"', '"@query" "content-digest"'),
    );
    expect(refusal(covered)).toBe('SIGNATURE_MALFORMED');
  });
});

describe('Signature-Input', () => {
  const without = (name: string) => (input: string) =>
    input.replace(new RegExp(`;${name}=("[^"]*"|[0-9]+)`), '');
  const instead = (name: string, value: string) => (input: string) =>
    input.replace(new RegExp(`;${name}=("[^"]*"|[0-9]+)`), `;${name}=${value}`);
  const twice = (name: string) => (input: string) =>
    input.replace(new RegExp(`(;${name}=("[^"]*"|[0-9]+))`), '$1$1');

  it.each<[string, (input: string) => string]>([
    ...['created', 'nonce', 'keyid', 'alg', 'tag'].map(
      (name) => [`no ${name}`, without(name)] as [string, (input: string) => string],
    ),
    ...['created', 'nonce', 'keyid', 'alg', 'tag'].map(
      (name) => [`two of ${name}`, twice(name)] as [string, (input: string) => string],
    ),
    ['an unknown parameter', (input) => `${input};extra="1"`],
    ['created as a text', instead('created', `"${NOW_MS / 1000}"`)],
    ['created as a decimal', instead('created', `${NOW_MS / 1000}.5`)],
    ['created in milliseconds beyond 15 digits', instead('created', `${NOW_MS}0000`)],
    ['created as a bare flag', (input) => input.replace(/;created=[0-9]+/, ';created')],
    ['expires as a text', (input) => `${input};expires="1"`],
    ['a nonce of 15 bytes', instead('nonce', `"${Buffer.alloc(15).toString('base64url')}"`)],
    ['an empty nonce', instead('nonce', '""')],
    ['a nonce of 200 characters', instead('nonce', `"${'a'.repeat(200)}"`)],
    ['a nonce with a space', instead('nonce', '"abcdefghijk lmnopqrstuvwx"')],
    ['a nonce with an escaped quote', instead('nonce', '"abcdefghijklmnopqrstuv\\"wx"')],
    ['a nonce that is a number', instead('nonce', '1234567890')],
    ['a keyid in upper case', (input) => input.replace(key.publicKey, key.publicKey.toUpperCase())],
    ['a short keyid', instead('keyid', '"abcd"')],
    ['another algorithm', instead('alg', '"hmac-sha256"')],
    ['the algorithm in capitals', instead('alg', '"ED25519"')],
    ['another tag', instead('tag', '"dc-v2"')],
    ['no components', (input) => input.replace(/\([^)]*\)/, '()')],
    ['a component missing', (input) => input.replace('"@authority" ', '')],
    ['a component more', (input) => input.replace(')', ' "host")')],
    ['a component covered twice', (input) => input.replace(')', ' "@method")')],
    ['one covered twice in place of another', (input) => input.replace('"@query"', '"@path"')],
    [
      'the whole address in place of its parts',
      (input) => input.replace('"@path" "@query"', '"@target-uri"'),
    ],
    ['a component with a parameter', (input) => input.replace('"@method"', '"@method";req')],
    ['a component in capitals', (input) => input.replace('@method', '@Method')],
    ['components that are no list', (input) => input.replace(/\([^)]*\)/, '"@method"')],
    ['components that run together', (input) => input.replace('" "', '""')],
    ['a list that is not closed', (input) => input.replace(')', '')],
    ['another label', (input) => input.replace(/^dc=/, 'sig1=')],
    ['the label in capitals', (input) => input.replace(/^dc=/, 'DC=')],
    ['its member twice', (input) => `${input}, ${input}`],
    ['a member more that cannot be told from ours', (input) => `${input}, dc=()`],
    ['junk behind it', (input) => `${input} junk`],
    ['a newline in it', (input) => input.replace(';alg', '\n;alg')],
    ['nothing in it', () => ''],
  ])('is refused with %s', (_name, rewrite) => {
    const request = resigned(aRequest(), rewrite);
    expect(refusal(request)).toBe('SIGNATURE_MALFORMED');
  });

  it('is refused where it is missing or comes as two headers', () => {
    const request = aRequest();
    const header = request.headers['signature-input'] as string;
    expect(refusal(withHeader(request, 'signature-input', undefined))).toBe('SIGNATURE_MALFORMED');
    expect(refusal(withHeader(request, 'signature-input', [header, header]))).toBe('SIGNATURE_MALFORMED');
  });
});

describe('Signature', () => {
  const request = aRequest();
  const good = request.headers['signature'] as string;

  it.each<[string, string | string[] | undefined]>([
    ['missing', undefined],
    ['empty', ''],
    ['two headers', [good, good]],
    ['there twice', `${good}, ${good}`],
    ['under another label', good.replace('dc=', 'sig1=')],
    ['without its colons', good.replace(/:/g, '')],
    ['in hex', `dc=:${'ab'.repeat(64)}:`],
    ['without padding', good.replace('==:', ':')],
    ['of 63 bytes', `dc=:${Buffer.alloc(63, 1).toString('base64')}:`],
    ['of 65 bytes', `dc=:${Buffer.alloc(65, 1).toString('base64')}:`],
    ['in the other alphabet', `dc=:${Buffer.alloc(64, 0xff).toString('base64').replace(/\//g, '_')}:`],
    ['with unused bits set', good.replace(/.==:$/, (end) => `${end[0] === 'B' ? 'C' : 'B'}==:`)],
    ['followed by junk', `${good}junk`],
    ['with a parameter', `${good};a=1`],
  ])('is refused as %s', (_name, value) => {
    expect(refusal(withHeader(request, 'signature', value))).toBe('SIGNATURE_MALFORMED');
  });
});

describe('isSigned', () => {
  it('says yes to either header, so that half a signature is an error and not an anonymous caller', () => {
    expect(isSigned({})).toBe(false);
    expect(isSigned({ signature: 'x' })).toBe(true);
    expect(isSigned({ 'signature-input': 'x' })).toBe(true);
  });
});

describe('any single changed byte', () => {
  /** Every part of the request as text, so that one property can change a byte of any of them. */
  const parts = {
    method: (request: IncomingRequest, change: Change) => ({ ...request, method: change(request.method) }),
    authority: (request: IncomingRequest, change: Change) => ({
      ...request,
      authority: change(request.authority),
    }),
    target: (request: IncomingRequest, change: Change) => ({ ...request, target: change(request.target) }),
    body: (request: IncomingRequest, change: Change) => ({
      ...request,
      body: Buffer.from(change(Buffer.from(request.body).toString('latin1')), 'latin1'),
    }),
    digest: changeHeader('content-digest'),
    input: changeHeader('signature-input'),
    signature: changeHeader('signature'),
  };
  type Change = (text: string) => string;
  function changeHeader(name: string) {
    return (request: IncomingRequest, change: Change) =>
      withHeader(request, name, change(request.headers[name] as string));
  }

  it.each(Object.entries(parts))('of the %s is refused', (name, apply) => {
    const request = aRequest();
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), (position, mask) => {
        let [before, after] = ['', ''];
        const changed = apply(request, (text) => {
          const index = position % text.length;
          before = text[index]!;
          after = String.fromCharCode(text.charCodeAt(index) ^ mask);
          return text.slice(0, index) + after + text.slice(index + 1);
        });
        // Host names have no case: this one change means the same request.
        fc.pre(!(name === 'authority' && before.toLowerCase() === after.toLowerCase()));
        expect(refusal(changed)).toMatch(/^(SIGNATURE_(MALFORMED|INVALID|SKEW)|DIGEST_MISMATCH|KEY_WEAK)$/);
      }),
      { numRuns: 500 },
    );
  });

  it('of any header text whatever ends in a refusal of ours, never in another error', () => {
    const request = aRequest();
    fc.assert(
      fc.property(
        fc.constantFrom('signature-input', 'signature', 'content-digest'),
        fc.string({
          unit: fc.constantFrom(...Array.from('dc=("@method");,: \t\\created1nonce-keyid~')),
          maxLength: 200,
        }),
        (name, value) => {
          expect(refusal(withHeader(request, name, value))).toMatch(
            /^(SIGNATURE_MALFORMED|DIGEST_MISMATCH)$/,
          );
        },
      ),
      { numRuns: 500 },
    );
  });
});

function errorOf(action: () => unknown): AppError {
  try {
    action();
  } catch (error) {
    if (error instanceof AppError) return error;
  }
  throw new Error('no AppError was thrown');
}
