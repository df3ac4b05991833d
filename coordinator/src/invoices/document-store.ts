/** The SQL of documents. They are added and read, and never changed. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Reader, Transaction } from '../database/database.ts';
import { statement } from '../database/statement.ts';
import type { BillingProfilesTable, DocumentsTable } from '../database/tables-documents.ts';
import type { DocumentBody } from './document.ts';

export type DocumentRow = DocumentsTable;

export const sha256Of = (text: string | Uint8Array): string =>
  createHash('sha256').update(text).digest('hex');

export const bodyOf = ({ body }: Pick<DocumentRow, 'body'>): DocumentBody => JSON.parse(body) as DocumentBody;

/** The next number of a series: the database refuses any other. */
export async function nextSeq(trx: Transaction, series: string): Promise<number> {
  const { rows } = await statement<{ seq: number | null }>`
    select max(seq) as seq from (
      select max(seq) as seq from documents where series = ${series}
      union all select max(seq) from documents_forgotten where series = ${series})`.execute(trx);
  return (rows[0]?.seq ?? 0) + 1;
}

/** How often the database was found to be behind. */
export async function countSafeModes(reader: Reader): Promise<number> {
  const { rows } = await statement<{ count: number }>`select count(*) as count from safe_modes`.execute(
    reader,
  );
  return rows[0]?.count ?? 0;
}

export async function insertDocument(
  trx: Transaction,
  row: DocumentRow,
  causes: readonly string[],
): Promise<void> {
  await statement`
    insert into documents (number, series, seq, kind, account_pubkey, contract_id, currency, net_e9s, tax_e9s, gross_e9s,
      issued_at, body, sha256)
    values (${row.number}, ${row.series}, ${row.seq}, ${row.kind}, ${row.account_pubkey}, ${row.contract_id},
      ${row.currency}, ${row.net_e9s}, ${row.tax_e9s}, ${row.gross_e9s}, ${row.issued_at}, ${row.body}, ${row.sha256})`.execute(
    trx,
  );
  for (const cause of causes)
    await statement`insert into document_sets (cause, number) values (${cause}, ${row.number})`.execute(trx);
}

/** The document that a set of postings is in; null where there is none. */
export async function findDocumentOf(reader: Reader, cause: string): Promise<DocumentRow | null> {
  const { rows } = await statement<DocumentRow>`
    select d.* from document_sets s join documents d on d.number = s.number where s.cause = ${cause}`.execute(
    reader,
  );
  return rows[0] ?? null;
}

export async function findDocument(reader: Reader, number: string): Promise<DocumentRow | null> {
  return (
    (await reader.selectFrom('documents').selectAll().where('number', '=', number).executeTakeFirst()) ?? null
  );
}

/** Whose documents, or which contract's; newest first. */
export interface DocumentFilter {
  account?: string | undefined;
  contractId?: string | undefined;
  limit: number;
  cursor?: DocumentCursor | undefined;
}

/** The last document of the page before. */
export interface DocumentCursor {
  issuedAt: number;
  number: string;
}

export async function listDocuments(reader: Reader, filter: DocumentFilter): Promise<DocumentRow[]> {
  const { account, contractId, limit, cursor } = filter;
  let query = reader
    .selectFrom('documents')
    .selectAll()
    .orderBy('issued_at', 'desc')
    .orderBy('number', 'desc')
    .limit(limit);
  if (account !== undefined) query = query.where('account_pubkey', '=', account);
  if (contractId !== undefined) query = query.where('contract_id', '=', contractId);
  if (cursor !== undefined)
    query = query.where(sql<boolean>`(issued_at, number) < (${cursor.issuedAt}, ${cursor.number})`);
  return query.execute();
}

/** The numbers of the contract's invoices, oldest first. */
export async function invoicesOf(reader: Reader, contractId: string): Promise<string[]> {
  const rows = await reader
    .selectFrom('documents')
    .select('number')
    .where('contract_id', '=', contractId)
    .where('kind', '=', 'invoice')
    .orderBy('issued_at')
    .orderBy('number')
    .execute();
  return rows.map(({ number }) => number);
}

export async function findProfile(reader: Reader, account: string): Promise<BillingProfilesTable | null> {
  const { rows } = await statement<BillingProfilesTable>`
    select * from billing_profiles where account_pubkey = ${account}`.execute(reader);
  return rows[0] ?? null;
}

/** Keeps what was rendered, unless somebody was faster; answers what is kept. */
export async function keepFile(
  trx: Transaction,
  file: { number: string; format: 'pdf' | 'html'; bytes: Uint8Array },
): Promise<Uint8Array> {
  const { number, format, bytes } = file;
  await trx
    .insertInto('document_files')
    .values({ number, format, content: Buffer.from(bytes).toString('base64'), sha256: sha256Of(bytes) })
    .onConflict((conflict) => conflict.columns(['number', 'format']).doNothing())
    .execute();
  const kept = await findFile(trx, number, format);
  if (kept === null) throw new Error(`the ${format} of ${number} was not kept`);
  return kept;
}

export async function findFile(
  reader: Reader,
  number: string,
  format: 'pdf' | 'html',
): Promise<Uint8Array | null> {
  const row = await reader
    .selectFrom('document_files')
    .select('content')
    .where('number', '=', number)
    .where('format', '=', format)
    .executeTakeFirst();
  return row === undefined ? null : Buffer.from(row.content, 'base64');
}
