/** A document as PDF: pure, the same bytes for the same body. */
import { formatMoney } from '@dc/shared/money/money';
import { rateText, titleOf, type DocumentBody, type Party } from './document.ts';
import {
  hasGlyphs,
  MONO_WIDTH,
  PAGE_HEIGHT_PT,
  PAGE_WIDTH_PT,
  writePdf,
  type PdfFont,
  type PdfText,
} from './pdf-writer.ts';

const MARGIN_PT = 50;
const TEXT_PT = 9;
const SMALL_PT = 6;
/** The amounts stand at the right of the text. */
const TEXT_COLUMNS = 62;

/** Puts lines of text on pages, from the top. */
class Pages {
  readonly all: PdfText[][] = [[]];
  #y = PAGE_HEIGHT_PT - MARGIN_PT;

  skip(heightPt: number): void {
    this.#y -= heightPt;
  }

  line(text: string, options: { font?: PdfFont; sizePt?: number; right?: string } = {}): void {
    const { font = 'mono', sizePt = TEXT_PT, right } = options;
    if (this.#y < MARGIN_PT + sizePt) {
      this.all.push([]);
      this.#y = PAGE_HEIGHT_PT - MARGIN_PT;
    }
    this.#y -= sizePt * 1.35;
    const page = this.all.at(-1) ?? [];
    if (text !== '') page.push({ x: MARGIN_PT, y: this.#y, font, sizePt, text });
    if (right === undefined) return;
    const x = PAGE_WIDTH_PT - MARGIN_PT - right.length * sizePt * MONO_WIDTH;
    page.push({ x, y: this.#y, font: 'mono', sizePt, text: right });
  }

  /** A text over as many lines as it takes; the amount beside the first. */
  wrapped(text: string, options: { sizePt?: number; columns?: number; right?: string } = {}): void {
    const { columns = TEXT_COLUMNS, right, ...rest } = options;
    for (const [index, part] of wrap(text, columns).entries())
      this.line(part, index === 0 && right !== undefined ? { ...rest, right } : rest);
  }
}

/** Cuts at spaces where there are any. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let rest = paragraph;
    while (rest.length > columns) {
      const space = rest.lastIndexOf(' ', columns);
      const at = space > 0 ? space : columns;
      lines.push(rest.slice(0, at));
      rest = rest.slice(at).trimStart();
    }
    lines.push(rest);
  }
  return lines;
}

/** The file. */
export function renderPdf(body: DocumentBody): Uint8Array {
  const pages = new Pages();
  const money = (amountE9s: string): string =>
    formatMoney({ amountE9s: BigInt(amountE9s), currency: body.currency });
  pages.line(`${titleOf(body)} ${body.number}`, { font: 'bold', sizePt: 18 });
  pages.skip(6);
  pages.line(`Issued ${body.issued_at.slice(0, 10)} (${body.issued_at})`);
  if (body.refers_to.length > 0) pages.wrapped(`Corrects ${body.refers_to.join(', ')}`);
  if (body.contract_id !== null) pages.line(`Contract ${body.contract_id}`);
  pages.line(`Payment: ${body.payment_method}`);
  renderParty(pages, 'From', body.seller);
  renderParty(pages, 'To', body.buyer);
  pages.wrapped(`Account ${body.buyer.account}`, { sizePt: SMALL_PT, columns: 120 });
  pages.skip(12);
  pages.line('What', { font: 'bold', right: `net, ${body.currency}` });
  for (const line of body.lines) {
    pages.skip(3);
    pages.wrapped(line.text, { right: money(line.net) });
    pages.wrapped(`Booked as ${line.ledger.join(', ')}`, { sizePt: SMALL_PT, columns: 120 });
    for (const hash of line.evidence) pages.line(`Proved by record ${hash}`, { sizePt: SMALL_PT });
  }
  pages.skip(12);
  pages.line('Net', { right: money(body.net) });
  pages.line(`VAT ${rateText(body)}`, { right: money(body.tax) });
  pages.line('Total', { font: 'bold', right: money(body.gross) });
  pages.skip(12);
  for (const note of notesOf(body)) pages.wrapped(note, { columns: 90 });
  return writePdf(pages.all, { title: `${titleOf(body)} ${body.number}`, createdAt: body.issued_at });
}

function renderParty(pages: Pages, title: string, { name, address, country, vat_number: vat }: Party): void {
  pages.skip(12);
  pages.line(title, { font: 'bold' });
  pages.wrapped([name, address, country].filter((text) => text !== '').join('\n'));
  if (vat !== null) pages.line(`VAT number ${vat}`);
}

/** The fonts have the letters of western Europe: who reads `?` is told where the names stand as they are written. */
function notesOf({ notes, seller, buyer, lines }: DocumentBody): readonly string[] {
  const texts = [seller, buyer].flatMap(({ name, address }) => [name, ...address.split('\n')]);
  if ([...texts, ...lines.map(({ text }) => text), ...notes].every(hasGlyphs)) return notes;
  return [...notes, 'Letters that this file cannot show are in the HTML version of this document.'];
}
