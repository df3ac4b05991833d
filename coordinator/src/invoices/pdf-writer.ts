/**
 * Writes PDF 1.4 with the fonts that every reader has: enough for a document of text, and always the same bytes for the
 * same text. No library: docs/decisions/invoices.md says why.
 */

export type PdfFont = 'bold' | 'mono';

/** A piece of text on a page. Coordinates are points, from the bottom left. */
export interface PdfText {
  x: number;
  y: number;
  font: PdfFont;
  sizePt: number;
  text: string;
}

export const PAGE_WIDTH_PT = 595;
export const PAGE_HEIGHT_PT = 842;
/** Every character of Courier is as wide, in parts of its size. */
export const MONO_WIDTH = 0.6;

const FONTS: Readonly<Record<PdfFont, string>> = { bold: 'Helvetica-Bold', mono: 'Courier' };

// What Windows-1252 has between 128 and 159, and Latin 1 has not.
const CP1252 = '€\0‚ƒ„…†‡ˆ‰Š‹Œ\0Ž\0\0‘’“”•–—˜™š›œ\0žŸ';

/** `text` in the fonts' encoding: letters that they lack without their accents, and `?` for all others. */
export function encodeText(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text.normalize('NFC'))
    bytes.push(byteOf(character) ?? byteOf(plain(character)) ?? 63);
  return Uint8Array.from(bytes);
}

function byteOf(character: string): number | null {
  const code = character.codePointAt(0) ?? 0;
  if ((code >= 32 && code < 127) || (code >= 160 && code < 256)) return code;
  const index = character === '\0' ? -1 : CP1252.indexOf(character);
  return index < 0 ? null : 128 + index;
}

const PLAIN: Readonly<Record<string, string>> = { ł: 'l', Ł: 'L', đ: 'd', Đ: 'D', ı: 'i', ħ: 'h', Ħ: 'H' };
const plain = (character: string): string => PLAIN[character] ?? (character.normalize('NFD')[0] as string);

/** Whether the fonts have every character of `text`. */
export const hasGlyphs = (text: string): boolean =>
  [...text.normalize('NFC')].every((character) => byteOf(character) !== null);

/** The file. `title` and `createdAt` are told to the reader. */
export function writePdf(
  pages: readonly (readonly PdfText[])[],
  { title, createdAt }: { title: string; createdAt: string },
): Uint8Array {
  const fontNames = Object.keys(FONTS) as PdfFont[];
  const firstPage = 4 + fontNames.length;
  const stamp = createdAt.replaceAll(/[^0-9]/g, '').slice(0, 14);
  const fonts = fontNames.map((font, index) => `/${font} ${String(4 + index)} 0 R`).join(' ');
  const kids = pages.map((_, index) => `${String(firstPage + 2 * index)} 0 R`).join(' ');
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Count ${String(pages.length)} /Kids [${kids}] >>`,
    `<< /Title (${literal(title)}) /CreationDate (D:${stamp}Z) /Producer (dc-coordinator) >>`,
    ...fontNames.map(
      (font) => `<< /Type /Font /Subtype /Type1 /BaseFont /${FONTS[font]} /Encoding /WinAnsiEncoding >>`,
    ),
    ...pages.flatMap((texts, index) => [
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${String(PAGE_WIDTH_PT)} ${String(PAGE_HEIGHT_PT)}] ` +
        `/Resources << /Font << ${fonts} >> >> /Contents ${String(firstPage + 2 * index + 1)} 0 R >>`,
      streamOf(texts),
    ]),
  ];
  return assemble(objects);
}

function streamOf(texts: readonly PdfText[]): string {
  const content = texts
    .map(
      ({ x, y, font, sizePt, text }) =>
        `BT /${font} ${String(sizePt)} Tf ${x.toFixed(2)} ${y.toFixed(2)} Td (${literal(text)}) Tj ET`,
    )
    .join('\n');
  return `<< /Length ${String(content.length)} >>\nstream\n${content}\nendstream`;
}

/** In the one-byte encoding, as a string of such characters. */
function literal(text: string): string {
  return Buffer.from(encodeText(text))
    .toString('latin1')
    .replaceAll(/[\\()]/g, (character) => `\\${character}`);
}

function assemble(objects: readonly string[]): Uint8Array {
  let file = '%PDF-1.4\n%\u00e2\u00e3\u00cf\u00d3\n';
  const offsets = objects.map((object, index) => {
    const offset = file.length;
    file += `${String(index + 1)} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const xref = file.length;
  const entries = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const size = String(objects.length + 1);
  file += `xref\n0 ${size}\n0000000000 65535 f \n${entries}`;
  file += `trailer\n<< /Size ${size} /Root 1 0 R /Info 3 0 R >>\nstartxref\n${String(xref)}\n%%EOF\n`;
  return Buffer.from(file, 'latin1');
}
