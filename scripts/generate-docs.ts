/**
 * Writes the pages of docs/ that are made from the source: docs/errors.md from the table of codes,
 * docs/state-machines.md from the transition tables, docs/configuration.md from the schemas of both programs. With `--check` it writes nothing and fails where a page is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AppError, ERRORS, statusOf, type ErrorCode } from '@dc/shared/errors';
import {
  CONTRACT_TRANSITIONS,
  isTerminal,
  PAYMENT_TRANSITIONS,
  RELEASE_STATES,
  type ContractState,
} from '@dc/shared/state/contract';
import { RawConfigSchema as AgentConfig } from '../agent/src/config/config-schema.ts';
import { RawConfigSchema as CoordinatorConfig } from '../coordinator/src/config/config-schema.ts';
import { allowedEvents, nextState, type TransitionTable } from '@dc/shared/state/state-machine';

const ROOT = path.dirname(import.meta.dirname);
const COMMAND = 'npm run exec -- node scripts/generate-docs.ts';

const pages: Readonly<Record<string, string>> = {
  'docs/errors.md': renderErrors(),
  'docs/state-machines.md': renderStateMachines(),
  'docs/configuration.md': renderConfiguration(),
};

const isCheck = process.argv.includes('--check');
const stale = Object.entries(pages).filter(([file, text]) => readPage(file) !== text);
for (const [file, text] of stale) {
  if (isCheck) console.error(`${file} is stale. Run: ${COMMAND}`);
  else writeFileSync(path.join(ROOT, file), text);
}
if (isCheck && stale.length > 0) process.exitCode = 1;
else
  console.log(
    stale.length === 0 ? 'Every page is fresh.' : `Written: ${stale.map(([file]) => file).join(', ')}.`,
  );

function readPage(file: string): string | null {
  try {
    return readFileSync(path.join(ROOT, file), 'utf8');
  } catch {
    return null; // A page that is not there yet is stale.
  }
}

function renderErrors(): string {
  const codes = Object.keys(ERRORS) as ErrorCode[];
  const rows = codes.map(
    (code) => `| [${code}](#${code.toLowerCase()}) | ${String(statusOf(code))} | ${ERRORS[code].title} |`,
  );
  const sections = codes.map((code) => {
    const again = new AppError(code).isRetryable
      ? 'The same call may succeed later.'
      : 'The same call fails again until something changes.';
    return [
      `## ${code}`,
      '',
      ERRORS[code].title,
      '',
      `- **What to do:** ${ERRORS[code].remedy}`,
      `- **HTTP:** ${String(statusOf(code))}, kind \`${ERRORS[code].kind}\`. ${again}`,
    ].join('\n');
  });
  return page('Errors', 'shared/src/errors.ts', [
    'Every error of the coordinator, of the agent and on the wire has one of these codes. A code never changes its meaning.',
    'The words below are the defaults: the `detail` and `remedy` of an answer may say more about the case at hand.',
    '',
    '| code | HTTP | what happened |',
    '| --- | --- | --- |',
    ...rows,
    '',
    sections.join('\n\n'),
  ]);
}

function renderStateMachines(): string {
  return page('State machines', 'shared/src/state/contract.ts', [
    'What may follow what. An event that has no arrow in a state is refused there (`CONTRACT_STATE`).',
    '',
    '## A contract',
    '',
    ...renderMachine(CONTRACT_TRANSITIONS, 'requested'),
    '',
    `Ends: ${(Object.keys(CONTRACT_TRANSITIONS) as ContractState[])
      .filter(isTerminal)
      .map((state) => `\`${state}\``)
      .join(', ')}.`,
    '',
    '## Its payment',
    '',
    ...renderMachine(PAYMENT_TRANSITIONS, 'pending'),
    '',
    '## Its release',
    '',
    'What has become of the instance once the contract has ended, until the agent proves that it is gone.',
    '',
    '```mermaid',
    'stateDiagram-v2',
    `  [*] --> ${RELEASE_STATES[0]}`,
    ...RELEASE_STATES.slice(1).map((state, index) => `  ${RELEASE_STATES[index] ?? ''} --> ${state}`),
    '```',
  ]);
}

/** The parts of JSON Schema that settings use. */
interface Setting {
  type?: string;
  properties?: Record<string, Setting>;
  required?: string[];
  description?: string;
  default?: unknown;
  examples?: unknown[];
}

function renderConfiguration(): string {
  const table = (schema: Setting): string[] => [
    '| setting | default | meaning |',
    '| --- | --- | --- |',
    ...settingsOf(schema, ''),
  ];
  return page('Configuration', 'the schemas of both programs', [
    'Both files are TOML. A key that is not listed here is an error, and all problems of a file are shown at once.',
    '',
    '## dc-coordinator.toml',
    '',
    ...table(CoordinatorConfig as unknown as Setting),
    '',
    '## dc-agent.toml',
    '',
    '`dc-agent setup token` writes it.',
    '',
    ...table(AgentConfig as unknown as Setting),
  ]);
}

function settingsOf(schema: Setting, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, setting]) => {
    const key = `${prefix}${name}`;
    if (setting.properties !== undefined) return settingsOf(setting, `${key}.`);
    const isRequired = schema.required?.includes(name) === true;
    const value =
      setting.default === undefined
        ? isRequired
          ? 'must be there'
          : 'optional'
        : `\`${JSON.stringify(setting.default)}\``;
    const example = setting.examples?.[0];
    const shown = example === undefined ? '' : ` For example \`${JSON.stringify(example)}\`.`;
    return [`| \`${key}\` | ${value} | ${setting.description ?? ''}.${shown} |`];
  });
}

/** One table as a diagram and as a list for readers without one. */
function renderMachine<S extends string, E extends string>(table: TransitionTable<S, E>, start: S): string[] {
  const states = Object.keys(table) as S[];
  const arrows = states.flatMap((from) =>
    allowedEvents(table, from).map((event) => ({ from, event, to: nextState(table, from, event) ?? from })),
  );
  return [
    '```mermaid',
    'stateDiagram-v2',
    `  [*] --> ${start}`,
    ...arrows.map(({ from, event, to }) => `  ${from} --> ${to}: ${event}`),
    ...states
      .filter((state) => allowedEvents(table, state).length === 0)
      .map((state) => `  ${state} --> [*]`),
    '```',
    '',
    '| in | event | then |',
    '| --- | --- | --- |',
    ...arrows.map(({ from, event, to }) => `| ${from} | ${event} | ${to} |`),
  ];
}

function page(title: string, source: string, body: readonly string[]): string {
  return [`# ${title}`, '', `<!-- Made from ${source} by: ${COMMAND} -->`, '', ...body, ''].join('\n');
}
