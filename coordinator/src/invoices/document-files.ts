/** Documents as files: rendered when they are first asked for, and the same bytes ever after. */
import type { Context } from '../context.ts';
import { bodyOf, findFile, keepFile, type DocumentRow } from './document-store.ts';
import { renderHtml } from './render-html.ts';
import { renderPdf } from './render-pdf.ts';

export type FileFormat = 'pdf' | 'html';

/** The bytes of a document; a later version of this program, which renders otherwise, hands out the same. */
export async function fileOf(
  { db }: Pick<Context, 'db'>,
  row: DocumentRow,
  format: FileFormat,
): Promise<Uint8Array> {
  const kept = await findFile(db.read, row.number, format);
  if (kept !== null) return kept;
  const body = bodyOf(row);
  const bytes = format === 'pdf' ? renderPdf(body) : Buffer.from(renderHtml(body));
  return db.write((trx) => keepFile(trx, { number: row.number, format, bytes }));
}
