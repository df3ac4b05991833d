/** `dc-agent doctor`: looks at everything that has to be right, and says what to do about what is not. */
import { flagOption, type Command } from '../lib/command.ts';
import { painter, type Paint } from '../lib/render-table.ts';
import type { CheckResult } from './check.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check everything that has to be right, with a remedy for what is not',
  description:
    'Checks configuration, keys, disk, journal, the running agent, its delegation, the coordinator, the backend, ' +
    'what waits for the operator, and the outbox. Changes nothing, and works beside a running agent. Warnings exit with 0, failures with the code ' +
    'of the first.',
  options: [{ flags: '--json', description: 'print JSON' }],
  async run(input, world) {
    const { runChecks } = await import('./check.ts');
    const { doctorChecks } = await import('./checks.ts');
    const { clock, random } = world;
    const results = await runChecks(doctorChecks({ configFile: input.configFile, clock, random }));
    const exitCode = results.find(({ exit_code }) => exit_code !== 0)?.exit_code ?? 0;
    if (flagOption(input, 'json')) {
      world.print(JSON.stringify({ healthy: exitCode === 0, checks: results }));
    } else {
      const paint = painter(world.isTerminal && !world.environment.noColor);
      for (const line of renderChecks(results, paint)) world.print(line);
    }
    return exitCode;
  },
};

const MARKS = {
  ok: ['green', '✓'],
  warning: ['yellow', '!'],
  failure: ['red', '✗'],
  skipped: ['dim', '-'],
} as const;

/** For people. Pure. */
export function renderChecks(results: readonly CheckResult[], paint: Paint): string[] {
  const width = Math.max(...results.map(({ name }) => name.length));
  return results.flatMap(({ name, severity, detail, remedy, code }) => {
    const [colour, mark] = MARKS[severity];
    const indent = ' '.repeat(width + 4);
    const [first = '', ...rest] = `${detail}${code === null ? '' : ` [${code}]`}`.split('\n');
    const lines = [
      `${paint(colour, mark)} ${name.padEnd(width)}  ${first}`,
      ...rest.map((line) => indent + line),
    ];
    return remedy === null ? lines : [...lines, `${indent}→ ${remedy}`];
  });
}
