/** `dc-agent orphans list`: what the backend holds that the journal cannot account for. */
import { flagOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { renderDuration, renderTable } from '../lib/render-table.ts';
import type { UnaccountedInstance } from '../journal/journal.ts';
import { GRACE_MS, isRipe } from './find-unaccounted.ts';

export const listOrphansCommand: Command = {
  name: 'orphans list',
  summary: 'list what the backend holds that the journal cannot account for',
  description:
    'Lists orphans (sealed by this provider in this environment, and no order for them in the journal) and foreign ' +
    'instances (anything else). The agent touches neither. It looks once a minute while it runs.',
  options: [{ flags: '--json', description: 'print JSON' }],
  async run(input, world) {
    const { loadConfig } = await import('../config/load-config.ts');
    const { journalFile } = await import('../config/paths.ts');
    const { openJournalReader } = await import('../journal/open-journal.ts');
    const config = await loadConfig(input.configFile);
    const reader = openJournalReader(journalFile(config.stateDir));
    const found = reader.unaccounted();
    reader.close();
    if (flagOption(input, 'json')) world.print(JSON.stringify({ instances: found.map(toJson) }));
    else for (const line of renderUnaccounted(found, world.clock.now())) world.print(line);
    return EXIT.ok;
  },
};

/** For people. Pure. */
function renderUnaccounted(found: readonly UnaccountedInstance[], nowMs: number): string[] {
  if (found.length === 0) return ['The journal accounts for everything at the backend.'];
  const rows = found.map((one) => [
    one.goneAt === null ? one.kind : 'destroyed',
    one.id,
    one.contractId ?? '',
    `${renderDuration(nowMs - one.firstSeenAt)} ago`,
    `${renderDuration(nowMs - one.lastSeenAt)} ago`,
    describe(one),
  ]);
  return renderTable([['KIND', 'INSTANCE', 'CONTRACT', 'FIRST SEEN', 'LAST SEEN', ''], ...rows]);
}

function describe(one: UnaccountedInstance): string {
  if (one.goneAt !== null) return `by the operator, at ${time(one.goneAt) ?? ''}`;
  if (one.kind === 'foreign') return `left alone: ${one.why ?? 'it is not ours'}`;
  if (isRipe(one)) return 'dc-agent orphans destroy can destroy it';
  return `only watched until ${time(one.firstSeenAt + GRACE_MS) ?? ''}`;
}

const toJson = (one: UnaccountedInstance): object => ({
  id: one.id,
  kind: one.kind,
  contract_id: one.contractId,
  why: one.why,
  first_seen_at: time(one.firstSeenAt),
  last_seen_at: time(one.lastSeenAt),
  times_seen: one.timesSeen,
  can_be_destroyed: one.goneAt === null && isRipe(one),
  gone_at: time(one.goneAt),
});

const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
