/** `dc-agent status`: is the agent alive, whom has it reached, what does it hold. */
import { flagOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { painter, renderDuration, renderTable, type Paint } from '../lib/render-table.ts';
import type { StatusReport } from './read-status.ts';

export const statusCommand: Command = {
  name: 'status',
  summary: 'show how the agent on this machine is',
  description:
    'Shows whether the agent runs, when it last reached the coordinator, its instances, its open work and what ' +
    'waits to be delivered. Exits with 0 while the agent runs and with 1 while it does not.',
  options: [{ flags: '--json', description: 'print JSON' }],
  async run(input, world) {
    const { loadConfig } = await import('../config/load-config.ts');
    const config = await loadConfig(input.configFile);
    const { openJournalReader } = await import('../journal/open-journal.ts');
    const { journalFile } = await import('../config/paths.ts');
    const { isProcessAlive, readStatus } = await import('./read-status.ts');
    const journal = openJournalReader(journalFile(config.stateDir));
    try {
      const report = readStatus(journal, world.clock.now(), isProcessAlive, {
        coordinatorKeys: config.coordinator.publicKeys,
        environment: config.environment,
      });
      if (flagOption(input, 'json')) world.print(JSON.stringify(report));
      else {
        const paint = painter(world.isTerminal && !world.environment.noColor);
        for (const line of renderStatus(report, world.clock.now(), paint)) world.print(line);
      }
      return report.running ? EXIT.ok : EXIT.failed;
    } finally {
      journal.close();
    }
  },
};

/** For people. Pure. */
export function renderStatus(report: StatusReport, nowMs: number, paint: Paint): string[] {
  const { instances, open_work: work, outbox } = report;
  const age = (at: string | null): string =>
    at === null ? 'never' : `${renderDuration(nowMs - Date.parse(at))} ago`;
  const lines = renderTable([
    ['agent', describeProcess(report, age, paint)],
    ['coordinator', describeContact(report, age, paint)],
    ...report.coordinator_keys.map((pin) => ['', describeKey(pin, nowMs)]),
    ['backend', describeBackend(report, paint)],
    ['new work', describeAvailability(report, age, paint)],
    ['outbox', describeOutbox(outbox, age)],
  ]);
  lines.push(...describeDecisions(report, age, paint));
  if (instances.length > 0) {
    const rows = instances.map(({ contract_id, phase, host, port, changed_at }) => [
      contract_id,
      phase,
      host === null ? 'no address' : `${host}:${String(port)}`,
      age(changed_at),
    ]);
    lines.push('', ...renderTable([['INSTANCE', 'STATE', 'SSH', 'SINCE'], ...rows]));
  }
  if (work.length > 0) {
    const rows = work.map(({ contract_id, saga, since }) => [contract_id, saga, age(since)]);
    lines.push('', ...renderTable([['OPEN WORK', 'SAGA', 'SINCE'], ...rows]));
    lines.push(paint('dim', 'dc-agent why CONTRACT tells more.'));
  }
  return lines;
}

type Age = (at: string | null) => string;

function describeProcess(
  { running, process, alive_at, stopped_because: why }: StatusReport,
  age: Age,
  paint: Paint,
) {
  if (running && process !== null) {
    return `${paint('green', 'running')}, version ${process.version}, pid ${process.pid}, started ${age(process.started_at)}`;
  }
  const ended = why === null ? '' : `; it ended itself: ${why.detail} → ${why.remedy} [${why.code}]`;
  return `${paint('red', 'not running')}, last seen ${age(alive_at)}${ended}`;
}

function describeContact({ coordinator }: StatusReport, age: Age, paint: Paint): string {
  const { last_contact_at: last, contact_lost_at: lost } = coordinator;
  if (lost !== null) return `${paint('red', 'no contact')} since ${age(lost)}, last answer ${age(last)}`;
  return last === null ? paint('yellow', 'never answered yet') : `last answer ${age(last)}`;
}

/** Which of the coordinator's keys counts, since when and until when. */
function describeKey({ key, pinned_at, ends_at }: StatusReport['coordinator_keys'][number], nowMs: number) {
  const since =
    pinned_at === null ? 'pinned by the configuration' : `pinned ${pinned_at}, announced by the one before`;
  if (ends_at === null) return `key ${key}, ${since}`;
  const hasEnded = Date.parse(ends_at) <= nowMs;
  return `key ${key}, ${since}; ${hasEnded ? 'counts no more since' : 'counts until'} ${ends_at}`;
}

function describeBackend({ backend }: StatusReport, paint: Paint): string {
  if (backend === null) return 'not looked at yet';
  const health = backend.healthy ? paint('green', 'healthy') : paint('red', 'unhealthy');
  const orphans =
    backend.orphans === 0 ? '' : `; ${backend.orphans} instances that the journal does not know`;
  return `${backend.kind}, ${health}: ${backend.why}${orphans}`;
}

function describeAvailability({ availability }: StatusReport, age: Age, paint: Paint): string {
  const { draining_since: draining, maintenance } = availability;
  if (draining !== null) return `${paint('yellow', 'none')}, since ${age(draining)} → dc-agent drain --off`;
  if (maintenance !== null)
    return `${paint('yellow', 'none')}, in maintenance until ${maintenance.until} → dc-agent maintenance end`;
  return 'is taken';
}

/** What only the operator can decide. */
function describeDecisions({ paused_releases: paused, orphans }: StatusReport, age: Age, paint: Paint) {
  const lines: string[] = [];
  const [first] = paused;
  if (first !== undefined) {
    const what = `${paused.length} releases wait for you, the first since ${age(first.since)}`;
    lines.push('', `${paint('red', what)} → dc-agent confirm`);
  }
  if (orphans.length > 0) {
    lines.push('', `${paint('yellow', `${orphans.length} orphans are left alone`)} → dc-agent orphans list`);
  }
  return lines;
}

function describeOutbox({ records, returns, oldest_at }: StatusReport['outbox'], age: Age): string {
  if (records + returns === 0) return 'empty';
  const oldest = oldest_at === null ? '' : `, the oldest from ${age(oldest_at)}`;
  return `${records} records and ${returns} returned orders wait${oldest}`;
}
