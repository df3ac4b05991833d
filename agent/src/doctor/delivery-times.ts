/** What the journal says about how fast the last instances were delivered. PURE. */
import type { Finding } from '../lib/check.ts';
import type { JournalReader } from '../journal/journal.ts';

const LAST = 20;

/** The times from the start of the work to the login, of the last rentals. */
export function describeDeliveries(journal: Pick<JournalReader, 'contractIds' | 'contract'>): Finding {
  const sagas = journal
    .contractIds('all')
    .slice(-LAST)
    .flatMap((contractId) => journal.contract(contractId)?.sagas ?? [])
    .filter(({ name, finished }) => name === 'provision-instance' && finished !== null);
  const delivered = sagas.flatMap(({ contractId, createdAt, finished }) =>
    finished?.outcome === 'reported' ? [{ contractId, ms: finished.at - createdAt }] : [],
  );
  const failed = sagas.length - delivered.length;
  const [fastest] = delivered.sort((one, other) => one.ms - other.ms);
  const slowest = delivered.at(-1);
  const failures = failed === 0 ? '' : ` ${failed} came to nothing.`;
  if (fastest === undefined || slowest === undefined)
    return { severity: 'skipped', detail: `Nothing was delivered yet.${failures}` };
  const middle = delivered[Math.floor((delivered.length - 1) / 2)] ?? fastest;
  const detail =
    `The last ${delivered.length} took ${seconds(middle.ms)} in the middle, from the order to the login; ` +
    `the slowest ${seconds(slowest.ms)} (${slowest.contractId}).${failures}`;
  if (failed === 0) return detail;
  return { severity: 'warning', detail, remedy: 'dc-agent why CONTRACT says what was in the way.' };
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
