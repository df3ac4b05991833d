import { describe, expect, it } from 'vitest';
import type { SigningKey } from '@dc/shared/crypto/ed25519';
import type { WireInvoice } from '@dc/shared/wire/invoices';
import { expectStatus, makeAccount } from '../testing/people.ts';
import {
  cancel,
  destroyInstance,
  HOUR_MS,
  openMarket,
  pass,
  reaches,
  rent,
  rentUntilActive,
  settledMoney,
  type Market,
} from '../testing/rental.ts';
import type { Answer } from '../testing/test-client.ts';
import { startTestCoordinator } from '../testing/test-coordinator.ts';
import { openStripeMarket, rentByStripe } from '../payments/stripe/testing/stripe-market.ts';
import { problemOfDocuments } from './verify-documents.ts';

const HOURLY = 10_000_000n;

async function invoices(market: Market, query = '', key: SigningKey = market.renter): Promise<WireInvoice[]> {
  const path = `/invoices${query}`;
  return expectStatus(await market.coordinator.client.get<{ items: WireInvoice[] }>(path, { key }), 200)
    .items;
}

interface Page {
  items: WireInvoice[];
  next_cursor: string | null;
}

interface Whole extends WireInvoice {
  lines: { text: string; net: { amount_e9s: string }; ledger: string[]; evidence: string[] }[];
  refers_to: string[];
  notes: string[];
  buyer: { name: string };
}

async function whole(market: Market, number: string): Promise<Whole> {
  const { client } = market.coordinator;
  return expectStatus(await client.get<Whole>(`/invoices/${number}`, { key: market.renter }), 200);
}

describe('a rental', () => {
  it('has an invoice when it is paid, and a credit note for what goes back', async () => {
    const fee = { amount_e9s: '5000000', currency: 'USD' };
    const market = await openMarket({ offering: { setup_fee: fee } });
    const { id } = await rentUntilActive(market);
    await pass(market.coordinator, 4 * HOUR_MS - 1000);
    await cancel(market, id);
    await settledMoney(market, id);
    const [credit, invoice, ...others] = await invoices(market, `?contract_id=${id}`);
    expect(others).toEqual([]);
    expect(invoice).toMatchObject({
      ...{ number: 'INV-2026-000001', kind: 'invoice', contract_id: id },
      gross: { amount_e9s: String(10n * HOURLY + 5_000_000n) },
    });
    expect(credit).toMatchObject({ kind: 'credit_note', gross: { amount_e9s: String(-6n * HOURLY) } });
    const { lines } = await whole(market, invoice?.number ?? '');
    expect(lines.map(({ text }) => text)).toEqual([
      'Small server: 10 hours at 0.01 USD an hour',
      'Small server: set-up',
    ]);
    expect(lines[0]?.ledger).toEqual([expect.stringContaining('payment:test:')]);
    const note = await whole(market, credit?.number ?? '');
    expect(note.refers_to).toEqual([invoice?.number]);
    expect(note.lines).toMatchObject([{ text: 'Small server: unused time' }]);
    expect(note.lines[0]?.ledger).toEqual([`refund:${id}:end`, `refund:${id}:end:confirmed`]);
    expect(note.notes).toEqual(['Test payment: no real money moved.']);
  });

  it('names each gap on the credit note, with the records before and after it', async () => {
    const earning = { releaseIntervalMs: HOUR_MS, proofMs: 600_000, evidenceGraceMs: HOUR_MS };
    const coordinator = await startTestCoordinator({ config: { earning } });
    const market = await openMarket({ coordinator });
    const contract = await rentUntilActive(market);
    const lease = contract.id;
    await pass(coordinator, HOUR_MS);
    await market.agent.report('health', lease, { epoch: 1, data: { status: 'healthy' } });
    await pass(coordinator, HOUR_MS);
    await cancel(market, contract.id);
    await destroyInstance(market, contract.id);
    await pass(coordinator, 2 * HOUR_MS);
    await pass(coordinator, 2 * HOUR_MS);
    await settledMoney(market, contract.id);
    const notes = (await invoices(market)).filter(({ kind }) => kind === 'credit_note');
    const lines = (await Promise.all(notes.map(({ number }) => whole(market, number)))).flatMap(
      (note) => note.lines,
    );
    const gaps = lines.filter(({ text }) => text.startsWith('Time without proof'));
    expect(gaps.length).toBeGreaterThan(0);
    const hashes = await coordinator.context.db.read.selectFrom('records').select('hash').execute();
    const known = new Set(hashes.map(({ hash }) => hash));
    for (const { evidence } of gaps) {
      expect(evidence.length).toBeGreaterThan(0);
      for (const hash of evidence) expect(known).toContain(hash);
    }
  });
});

it('what was paid by card has the tax that was paid on it, and gets it back', async () => {
  const market = await openStripeMarket({ stripe: { capture: 'at_once', automaticTax: true } });
  market.standIn.books.taxPercent = 19;
  const { id, session } = await rentByStripe(market);
  market.standIn.books.pay(session.id);
  await reaches(market, id, 'accepted');
  await cancel(market, id);
  await settledMoney(market, id);
  const listed = await invoices(market);
  const [credit, invoice] = ['credit_note', 'invoice'].map((kind) =>
    listed.find((each) => each.kind === kind),
  );
  expect(invoice).toMatchObject({ net: { amount_e9s: '1000000000' }, tax: { amount_e9s: '190000000' } });
  expect(credit).toMatchObject({ net: { amount_e9s: '-1000000000' }, tax: { amount_e9s: '-190000000' } });
  expect(await whole(market, invoice?.number ?? '')).toMatchObject({ tax_rate_bp: 1900 });
});

describe('a document', () => {
  it('is the same bytes whenever it is asked for, whatever the buyer says later', async () => {
    const market = await openMarket();
    const { client } = market.coordinator;
    const key = market.renter;
    const profile = { name: 'First Ltd', address: '1 Road\nTown', country: 'FR', vat_number: 'FR12345' };
    expectStatus(await client.put('/billing-profile', profile, { key }), 200);
    await rent(market);
    const [invoice] = await invoices(market);
    const path = `/invoices/${invoice?.number ?? ''}`;
    const files = async () => [
      (await client.get(`${path}/pdf`, { key })).text,
      (await client.get(`${path}/html`, { key })).text,
      JSON.stringify((await client.get(path, { key })).body),
    ];
    const first = await files();
    expect(first[0]).toContain('%PDF-1.4');
    for (const text of first) expect(text).toContain('First Ltd');
    expectStatus(await client.put('/billing-profile', { ...profile, name: 'Second Ltd' }, { key }), 200);
    expect((await client.get('/billing-profile', { key })).body).toMatchObject({
      profile: { name: 'Second Ltd' },
    });
    expect(await files()).toEqual(first);
    const html = await client.get(`${path}/html`, { key });
    expect(html.headers['content-security-policy']).toContain("default-src 'none'");
    // What was handed out is kept: another way to render changes nothing.
    const { db } = market.coordinator.context;
    const kept = await db.read.selectFrom('document_files').selectAll().execute();
    expect(kept).toHaveLength(2);
    await expect(
      db.write((trx) => trx.updateTable('documents').set({ body: '{}' }).execute()),
    ).rejects.toThrow();
    await expect(db.write((trx) => trx.deleteFrom('document_files').execute())).rejects.toThrow();
    await expect(db.write((trx) => trx.deleteFrom('documents').execute())).rejects.toThrow();
  });

  it('is its buyer’s and the operator’s alone', async () => {
    const market = await openMarket();
    await rent(market);
    const [invoice] = await invoices(market);
    const other = await makeAccount(market.coordinator, 'other');
    const { client } = market.coordinator;
    const path = `/invoices/${invoice?.number ?? ''}`;
    for (const part of ['', '/pdf', '/html'])
      expect((await client.get(`${path}${part}`, { key: other })).status).toBe(404);
    expect((await client.get(`${path}/pdf`)).status).toBe(401);
    expect(await invoices(market, '', other)).toEqual([]);
    expect((await client.get('/invoices/INV-2026-999999', { key: market.renter })).status).toBe(404);
    expect((await client.get('/invoices/..%2f/pdf', { key: market.renter })).status).toBe(400);
  });

  it('is listed page by page, none twice and none left out', async () => {
    const market = await openMarket();
    for (let count = 0; count < 5; count += 1) await rent(market);
    const seen: string[] = [];
    let query: string | null = '?limit=2';
    while (query !== null) {
      const answer: Answer<Page> = await market.coordinator.client.get<Page>(`/invoices${query}`, {
        key: market.renter,
      });
      seen.push(...expectStatus(answer, 200).items.map(({ number }) => number));
      query = answer.body.next_cursor === null ? null : `?limit=2&cursor=${answer.body.next_cursor}`;
    }
    expect(seen).toEqual([5, 4, 3, 2, 1].map((seq) => `INV-2026-00000${seq}`));
    expect((await market.coordinator.client.get('/invoices?cursor=x', { key: market.renter })).status).toBe(
      400,
    );
  });
});

describe('numbers', () => {
  it('have no gap where what they were for was rolled back, also in the same commit as others', async () => {
    const market = await openMarket({ offering: { places: 100 } });
    const { client } = market.coordinator;
    const limits = { limits: [{ amount_e9s: String(50n * HOURLY), currency: 'USD' }] };
    expectStatus(await client.put('/spending/limits', limits, { key: market.renter }), 200);
    const asked = await Promise.all(
      Array.from({ length: 12 }, () => client.post('/contracts', rentBody(market), { key: market.renter })),
    );
    expect(asked.filter(({ status }) => status === 201)).toHaveLength(5);
    expect((await invoices(market)).map(({ number }) => number).toSorted()).toEqual(
      [1, 2, 3, 4, 5].map((seq) => `INV-2026-00000${seq}`),
    );
    expect(await problemOfDocuments(market.coordinator.context.db.read)).toBeNull();
  });

  it('cannot be skipped or used twice, not even by another program', async () => {
    const market = await openMarket();
    await rent(market);
    const { db } = market.coordinator.context;
    const row = await db.read.selectFrom('documents').selectAll().executeTakeFirstOrThrow();
    for (const seq of [1, 3])
      await expect(
        db.write((trx) =>
          trx
            .insertInto('documents')
            .values({ ...row, number: `X-${seq}`, seq })
            .execute(),
        ),
      ).rejects.toThrow();
    await db.write((trx) =>
      trx
        .insertInto('documents')
        .values({ ...row, number: 'X-2', seq: 2 })
        .execute(),
    );
    expect(await problemOfDocuments(db.read)).toMatch(/X-2/);
  });
});

function rentBody({ offering }: Market): object {
  const ssh = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';
  return { offering_id: offering.id, duration_hours: 10, ssh_public_key: ssh, payment_method: 'test' };
}
