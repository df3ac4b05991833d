/**
 * The export of a provider's evidence as JSON lines: every record in order, each checkpoint after its record. Before
 * them, where the coordinator's key was ever replaced, the announcements that lead from key to key.
 */
import { once } from 'node:events';
import { AppError } from '@dc/shared/errors';
import type { Context } from '../context.ts';
import type { RouteInput } from '../http/route.ts';
import { findProvider, listAgents } from '../offerings/provider-store.ts';
import { readChain } from './record-store.ts';

const PAGE = 500;

/** Streams the chains of the provider's agents, one after the other. Memory stays at one page; slow readers are waited for. */
export async function streamEvidence(
  context: Context,
  input: RouteInput,
  providerKey: string,
): Promise<void> {
  const { db } = context;
  if ((await findProvider(db.read, providerKey)) === null) throw new AppError('PROVIDER_NOT_FOUND');
  const agents = await listAgents(db.read, providerKey);
  const { reply } = input.raw;
  reply.hijack();
  const output = reply.raw;
  output.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'application/jsonl; charset=utf-8',
    'cache-control': 'no-store',
    'content-disposition': `attachment; filename="evidence-${providerKey.slice(0, 16)}.jsonl"`,
  });
  for (const { compact } of context.keys.rotations)
    output.write(`${JSON.stringify({ rotation: compact })}\n`);
  for (const { public_key: agentKey } of agents) {
    let after = 0;
    for (;;) {
      const rows = await readChain(db.read, agentKey, after, PAGE);
      let text = '';
      for (const row of rows) {
        text += `${JSON.stringify({ record: row.compact })}\n`;
        if (row.checkpoint !== null) text += `${JSON.stringify({ checkpoint: row.checkpoint })}\n`;
        after = row.seq;
      }
      if (output.destroyed) return;
      if (text !== '' && !output.write(text))
        await Promise.race([once(output, 'drain'), once(output, 'close')]);
      if (rows.length < PAGE) break;
    }
  }
  output.end();
}
