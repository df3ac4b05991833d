/**
 * The floor of the `records` benchmark, a process of its own: a bare Fastify route that verifies what must be verified
 * (request signature, digest, record signature) with node:crypto and inserts one row with the coordinator's pragmas.
 * It believes everything else. Usage: node record-floor.ts PORT DATABASE
 */
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import BetterSqlite3 from 'better-sqlite3';
import fastify from 'fastify';

const [port = '', file = ''] = process.argv.slice(2);

const db = new BetterSqlite3(file);
db.pragma('journal_mode = wal');
db.pragma('synchronous = full');
db.exec('create table records (agent text, seq integer, compact text, primary key (agent, seq)) strict');
const insert = db.prepare('insert into records values (?, ?, ?)');

const keys = new Map<string, KeyObject>();
function keyOf(hex: string): KeyObject {
  let key = keys.get(hex);
  if (key === undefined) {
    const x = Buffer.from(hex, 'hex').toString('base64url');
    key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    keys.set(hex, key);
  }
  return key;
}

function take(
  method: string,
  target: string,
  headers: Record<string, unknown>,
  body: Buffer,
): { seq: number } {
  const digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;
  const input = String(headers['signature-input']).slice('dc='.length);
  const agent = input.slice(input.indexOf('keyid="') + 7).slice(0, 64);
  const lines = [
    `"@method": ${method}`,
    `"@authority": ${String(headers['host'])}`,
    `"@path": ${target}`,
    '"@query": ?',
    `"content-digest": ${digest}`,
    `"@signature-params": ${input}`,
  ];
  const signature = Buffer.from(String(headers['signature']).slice('dc=:'.length, -1), 'base64');
  if (!verify(null, Buffer.from(lines.join('\n')), keyOf(agent), signature))
    throw new Error('request signature');
  const { record } = JSON.parse(body.toString()) as { record: string };
  const [head = '', payload = '', proof = ''] = record.split('.');
  const signed = Buffer.from(`${head}.${payload}`);
  if (!verify(null, signed, keyOf(agent), Buffer.from(proof, 'base64url')))
    throw new Error('record signature');
  const { seq } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { seq: number };
  insert.run(agent, seq, record);
  return { seq };
}

const app = fastify({ logger: false });
app.removeAllContentTypeParsers();
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) =>
  done(null, bytes),
);
app.get('/health/live', () => ({ status: 'ok' }));
app.post('/api/v1/contracts/:id/health', (request) =>
  take(request.method, request.url, request.headers, request.body as Buffer),
);
await app.listen({ host: '127.0.0.1', port: Number(port) });
process.send?.('listening');
