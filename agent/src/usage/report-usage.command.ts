/**
 * `dc-agent report-usage`: hands what a provider's own meter counted to the coordinator, signed by the agent's key.
 * Events have ids of their own, so that a meter may hand in the same ones again after whatever went wrong.
 */
import { readFileSync } from 'node:fs';
import { AppError } from '@dc/shared/errors';
import { UUID_V7_PATTERN } from '@dc/shared/ids';
import { UsageReported, USAGE_EVENTS_MAX } from '@dc/shared/wire/usage';
import type { HttpTransport } from '../coordinator-client/http-transport.ts';
import { flagOption, textOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';

/** What became of the events, together. */
interface Report {
  recorded: number;
  already_recorded: number;
  refused: { id: string; code: string }[];
  /** More use earns nothing in this billing period. */
  cap_reached: boolean;
}

export const reportUsageCommand: Command = {
  name: 'report-usage',
  summary: 'hand in what was used of a contract',
  description:
    'Reads events, one JSON object a line, as POST /contracts/{id}/usage takes them: a heartbeat {"id", "kind", "at"}, ' +
    'a session with "ended_at", or a counter with "units_e9s". Each counts once, however often it is handed in. Exits ' +
    'with 1 where some were refused.',
  args: [{ flags: '<file>', description: 'the file, or - for standard input' }],
  options: [
    { flags: '--contract-id <id>', description: 'the contract' },
    { flags: '--json', description: 'print JSON' },
  ],
  async run(input, world) {
    const contractId = textOption(input, 'contractId');
    if (contractId === null || !new RegExp(UUID_V7_PATTERN).test(contractId))
      throw new AppError('COMMAND_USAGE', 'Say which contract: --contract-id ID.', {
        remedy: 'dc-agent status lists them.',
      });
    const events = readEvents(input.args[0] ?? '-');
    const { loadConfig } = await import('../config/load-config.ts');
    const { loadAgentKey } = await import('../config/key-files.ts');
    const { HttpTransport } = await import('../coordinator-client/http-transport.ts');
    const config = await loadConfig(input.configFile);
    const { clock, random } = world;
    const key = loadAgentKey(config.keyDir);
    const transport = new HttpTransport({ url: config.coordinator.url, key, clock, random });
    try {
      const report = await handIn(transport, contractId, events);
      if (flagOption(input, 'json')) world.print(JSON.stringify(report));
      else {
        world.print(`Recorded ${String(report.recorded)}, known before ${String(report.already_recorded)}.`);
        if (report.cap_reached)
          world.print('The renter’s cap is reached: more use earns nothing in this period.');
        for (const { id, code } of report.refused) world.complain(`Refused ${id}: ${code}`);
      }
      return report.refused.length === 0 ? EXIT.ok : EXIT.failed;
    } finally {
      await transport.close();
    }
  },
};

/** The events of a file. Throws COMMAND_USAGE, naming the first line that is none. */
function readEvents(file: string): object[] {
  const events: object[] = [];
  for (const [index, line] of readText(file).split('\n').entries()) {
    if (line.trim() === '') continue;
    const event = parseLine(line);
    if (event === null)
      throw new AppError('COMMAND_USAGE', `Line ${String(index + 1)} of ${file} is no JSON object.`);
    events.push(event);
  }
  if (events.length === 0) throw new AppError('COMMAND_USAGE', `There is no event in ${file}.`);
  return events;
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new AppError('COMMAND_USAGE', `${file} cannot be read (${code}).`, { cause: error });
  }
}

function parseLine(line: string): object | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null; // The caller says which line it was.
  }
}

async function handIn(
  transport: HttpTransport,
  contractId: string,
  events: readonly object[],
): Promise<Report> {
  const report: Report = { recorded: 0, already_recorded: 0, refused: [], cap_reached: false };
  const { signal } = new AbortController();
  const { parseAnswer } = await import('../coordinator-client/parse-answer.ts');
  for (let from = 0; from < events.length; from += USAGE_EVENTS_MAX) {
    const body = { events: events.slice(from, from + USAGE_EVENTS_MAX) };
    // The same events again count once.
    const call = {
      method: 'POST',
      path: `/contracts/${contractId}/usage`,
      body,
      isRepeatable: true,
    } as const;
    const answer = parseAnswer(UsageReported, (await transport.send({ ...call, signal })).body);
    for (const { id, outcome, code } of answer.results)
      if (outcome === 'refused') report.refused.push({ id, code: code ?? 'REQUEST_INVALID' });
      else report[outcome] += 1;
    report.cap_reached = answer.cap_reached;
  }
  return report;
}
