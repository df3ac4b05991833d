import { describe, expect, it } from 'vitest';
import { HOSTILE, previewData, PROVIDERS } from '../testing/preview-data.ts';
import { attemptCells, explanationRows } from '@dc/shared/wire/explanation';
import { escapeHtml } from '../html.ts';
import { providerPage } from './provider-page.ts';

const provider = PROVIDERS[0]!;
const principal = {
  kind: 'account',
  account: provider.pubkey,
  publicKey: null,
  isProvider: true,
  isAdmin: false,
} as const;
const data = previewData();
const words = (markup: string): string => markup.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ');

async function render(isOwn: boolean): Promise<string> {
  const uptime = await data.findUptime(provider.pubkey);
  const attention = isOwn ? await data.findAttention(principal, provider.pubkey) : null;
  return String(providerPage({ provider, offerings: [], uptime, attention }).main);
}

describe('the page of a provider', () => {
  it('shows its uptime with the maintenance beside it, and none where there is no data', async () => {
    const text = words(await render(false));
    expect(text).toContain('Uptime 99.95 % since 21 Oct 2026');
    expect(text).toContain('besides 24 h of maintenance');
    expect(text).toContain('by its record 411');
    expect(text).not.toContain('Uptime 100');
  });

  it('shows what does not go on in the very words of dc-agent why, to the provider alone', async () => {
    const attention = await data.findAttention(principal, provider.pubkey);
    const { explanation } = attention!.blocked[0]!;
    const own = await render(true);
    for (const [name, text] of explanationRows(explanation)) {
      expect(own).toContain(`<dt>${escapeHtml(name)}</dt>`);
      expect(own).toContain(`<dd>${escapeHtml(text)}</dd>`);
    }
    for (const cell of attemptCells(explanation.last_attempts[0]!)) expect(own).toContain(escapeHtml(cell));
    expect(own).not.toContain(HOSTILE);
    expect(await render(false)).not.toContain('For you to look at');
  });

  it('says of each agent what it takes, and whether its backend works', async () => {
    const change = (words: object) =>
      String(
        providerPage({
          provider: { ...provider, agents: [{ ...provider.agents[0]!, ...words }] },
          offerings: [],
          uptime: { from: '', to: '', agents: [] },
          attention: null,
        }).main,
      );
    expect(words(change({ draining: true }))).toContain('Takes no new contracts');
    expect(words(change({ maintenance_until: '2026-11-20T16:00:00.000Z' }))).toContain(
      'Maintenance until 20 Nov',
    );
    expect(words(change({ healthy: false }))).toContain('Its backend does not work');
    expect(words(change({ healthy: false, online: false }))).not.toContain('backend');
  });

  it('shows paused releases, orphans, and what nobody serves, with the command that helps', async () => {
    const text = words(await render(true));
    expect(text).toMatch(/4 releases wait for you on falkenstein-1.*dc-agent confirm/);
    expect(text).toMatch(/1 instance at falkenstein-2 without an order.*dc-agent orphans list.*vm-104/);
    expect(text).toMatch(/Tiny, Lisbon cannot be rented. None of its agents is online/);
    expect(text).toContain('No agent of the provider can serve it now.');
  });
});
