import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { composeBody } from './document.ts';
import { encodeText, hasGlyphs } from './pdf-writer.ts';
import { renderHtml } from './render-html.ts';
import { renderPdf, wrap } from './render-pdf.ts';

function bodyOf(name: string, lineCount = 3) {
  const lines = Array.from({ length: lineCount }, (_, index) => ({
    text: `Item ${String(index)} (with \\ and brackets)`,
    netE9s: 1_234_567_891n,
    ledger: [`refund:01993b5e-0000-7000-8000-00000000000${String(index % 10)}:end`],
    evidence: ['ab'.repeat(32)],
  }));
  const seller = {
    name: 'Müller & Söhne',
    address: '1 Straße\nBerlin',
    country: 'DE',
    vat_number: 'DE123456789',
  };
  const buyer = {
    account: 'cd'.repeat(32),
    name,
    address: '<b>Road</b> 1',
    country: 'FR',
    vat_number: 'FR99',
  };
  return composeBody(
    {
      ...{ kind: 'credit_note', account: buyer.account, contractId: null, currency: 'EUR' },
      ...{ paymentMethod: 'stripe', lines, taxE9s: 0n, refersTo: ['INV-2026-000001'] },
    },
    { number: 'CRN-2026-000007', issuedAt: '2026-11-20T10:00:00.000Z', seller, buyer, taxNote: null },
  );
}

/** The strings that a PDF of ours draws, page by page; throws where its structure does not hold. */
function readPdf(bytes: Uint8Array): string[][] {
  const file = Buffer.from(bytes).toString('latin1');
  const start = Number(/startxref\n(\d+)\n%%EOF\n$/.exec(file)?.[1]);
  expect(file.slice(start, start + 5)).toBe('xref\n');
  const offsets = [...file.slice(start).matchAll(/^(\d{10}) 00000 n $/gm)].map(([, at]) => Number(at));
  for (const [index, at] of offsets.entries())
    expect(file.slice(at).startsWith(`${String(index + 1)} 0 obj\n`)).toBe(true);
  return [...file.matchAll(/<< \/Length (\d+) >>\nstream\n/g)].map((match) => {
    const from = match.index + match[0].length;
    const content = file.slice(from, from + Number(match[1]));
    expect(file.slice(from + content.length).startsWith('\nendstream')).toBe(true);
    return [...content.matchAll(/\(((?:[^()\\]|\\.)*)\) Tj/g)].map(([, text = '']) =>
      text.replaceAll(/\\(.)/g, '$1'),
    );
  });
}

const hasPdftotext = (() => {
  try {
    execFileSync('pdftotext', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false; // Not installed: the structure is checked all the same.
  }
})();

describe('the PDF', () => {
  it('says everything that is on the document, on as many pages as it takes', () => {
    const body = bodyOf('Żółć Łukasz', 60);
    const pages = readPdf(renderPdf(body));
    expect(pages.length).toBeGreaterThan(1);
    const text = pages.flat().join('\n');
    for (const part of [
      'Credit note CRN-2026-000007',
      'Müller & Söhne',
      'VAT number FR99',
      '<b>Road</b> 1',
      'Straße',
    ])
      expect(text).toContain(part);
    expect(text).toContain('Corrects INV-2026-000001');
    expect(pages.flat().filter((line) => line === '1.234567891 EUR')).toHaveLength(60);
    expect(pages.flat().filter((line) => line === '74.07407346 EUR')).toHaveLength(2); // Net and total.
    expect(text).toContain('Reverse charge');
    expect(text).toContain('Item 59 (with \\ and brackets)');
    // Polish letters are not in its fonts: their plain form is there, and where the whole name stands.
    expect(text).toContain('Zólc Lukasz');
    expect(text).toContain('in the HTML version');
  });

  // Without poppler-utils there is nobody to ask; the test before this one reads the file itself.
  it.skipIf(!hasPdftotext)('is read by another program as it was written', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dc-pdf-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'x.pdf');
    writeFileSync(file, renderPdf(bodyOf('Müller €5 “x”')));
    const text = execFileSync('pdftotext', ['-layout', file, '-'], { encoding: 'utf8' });
    expect(text).toContain('Credit note CRN-2026-000007');
    expect(text).toContain('Müller €5 “x”');
    expect(text).toMatch(/Item 0 \(with \\ and brackets\)\s+1\.234567891 EUR/);
    expect(text).toMatch(/Total\s+3\.703703673 EUR/);
  });

  it('is the same bytes for the same document', () => {
    expect(renderPdf(bodyOf('a'))).toEqual(renderPdf(bodyOf('a')));
    expect(renderHtml(bodyOf('a'))).toBe(renderHtml(bodyOf('a')));
  });

  it('holds together whatever a name is made of', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (name) => {
        readPdf(renderPdf(bodyOf(name)));
      }),
      { numRuns: 50 },
    );
  });

  it('knows which letters its fonts have', () => {
    expect(Buffer.from(encodeText('aé€’ń漢')).toString('latin1')).toBe('a\u00e9\u0080\u0092n?');
    expect([hasGlyphs('é€'), hasGlyphs('ń'), hasGlyphs('漢')]).toEqual([true, false, false]);
  });

  it('cuts long texts at spaces, and those without any where it must', () => {
    expect(wrap('aaa bbb ccc', 7)).toEqual(['aaa bbb', 'ccc']);
    expect(wrap('aaaaaaaaaa', 4)).toEqual(['aaaa', 'aaaa', 'aa']);
    expect(wrap('a\nb', 4)).toEqual(['a', 'b']);
  });
});

describe('the HTML', () => {
  it('says the same, with every name escaped', () => {
    const text = renderHtml(bodyOf('Żółć <script>alert(1)</script>'));
    expect(text).toContain('Żółć &lt;script&gt;');
    expect(text).not.toContain('<script');
    expect(text).toContain('CRN-2026-000007');
    expect(text).toContain('ab'.repeat(32));
  });
});
