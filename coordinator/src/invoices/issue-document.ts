/**
 * Issues documents in the transaction that books what they are about: where that is rolled back, or the program dies,
 * there is neither a booking nor a number that is missing. Rendering comes later, when somebody wants to read it.
 */
import type { Context } from '../context.ts';
import { findAccount } from '../accounts/account-store.ts';
import type { Transaction } from '../database/database.ts';
import { composeBody, numberOf, seriesOf, type Draft, type DocumentBody } from './document.ts';
import {
  countSafeModes,
  findDocumentOf,
  findProfile,
  insertDocument,
  nextSeq,
  sha256Of,
  type DocumentRow,
} from './document-store.ts';

/** Issues a document, once for what its lines book: where there is one already, that is the answer. */
export async function issueDocument(
  context: Pick<Context, 'clock' | 'config'>,
  trx: Transaction,
  draft: Draft,
): Promise<DocumentRow> {
  const causes = [...new Set(draft.lines.flatMap(({ ledger }) => ledger))];
  const [first] = causes;
  if (first === undefined) throw new RangeError('a document is about something that was booked');
  const known = await findDocumentOf(trx, first);
  if (known !== null) return known;
  const now = context.clock.now();
  const series = seriesOf(draft.kind, now, await countSafeModes(trx));
  const seq = await nextSeq(trx, series);
  const { seller, taxNote } = context.config.invoices;
  const body = composeBody(draft, {
    number: numberOf(series, seq),
    issuedAt: new Date(now).toISOString(),
    ...{ seller, taxNote, buyer: await buyerOf(trx, draft.account) },
  });
  const text = JSON.stringify(body);
  const row: DocumentRow = {
    ...{ number: body.number, series, seq, kind: body.kind, account_pubkey: draft.account },
    ...{ contract_id: draft.contractId, currency: draft.currency, issued_at: now },
    ...{ net_e9s: BigInt(body.net), tax_e9s: BigInt(body.tax), gross_e9s: BigInt(body.gross) },
    ...{ body: text, sha256: sha256Of(text) },
  };
  await insertDocument(trx, row, causes);
  return row;
}

/** The renter as they want to be on invoices; by name or key where they did not say. */
async function buyerOf(trx: Transaction, account: string): Promise<DocumentBody['buyer']> {
  const profile = await findProfile(trx, account);
  if (profile !== null) {
    const { name, address, country, vat_number } = profile;
    return { account, name, address, country, vat_number };
  }
  const username = (await findAccount(trx, account))?.username;
  return { account, name: username ?? `Account ${account}`, address: '', country: '', vat_number: null };
}
