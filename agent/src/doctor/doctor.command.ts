/** `dc-agent doctor`: looks at everything that has to be right, and says what to do about what is not. */
import { flagOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';
import { painter, type Paint } from '../lib/render-table.ts';
import type { CheckResult } from './check.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check everything that has to be right, with a remedy for what is not',
  description:
    'Checks configuration, keys, disk, journal, the running agent, its delegation, the coordinator, the backend, ' +
    'the last deliveries, what waits for the operator, and the outbox. Works beside a running agent, and changes nothing: what is ' +
    'made at the backend to try a privilege is destroyed again, also when it is interrupted. Warnings exit with 0, failures with the code ' +
    'of the first.',
  options: [
    { flags: '--json', description: 'print JSON' },
    {
      flags: '--read-only',
      description: 'make nothing at the backend: read what is allowed instead of trying it',
    },
  ],
  async run(input, world) {
    const { runChecks } = await import('./check.ts');
    const { doctorChecks } = await import('./checks.ts');
    const { clock, random } = world;
    const stop = new AbortController();
    void world.signalled().then(() => stop.abort());
    const { signal } = stop;
    const mayProbe = !flagOption(input, 'readOnly');
    const checks = doctorChecks({ configFile: input.configFile, clock, random, mayProbe, signal });
    const results = await runChecks(checks, signal);
    const failed = results.find(({ exit_code }) => exit_code !== 0)?.exit_code ?? EXIT.ok;
    const exitCode = failed === EXIT.ok && signal.aborted ? EXIT.sigint : failed;
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
    return remedy === null ? lines : [...lines, ...remedy.split('\n').map((line) => `${indent}→ ${line}`)];
  });
}
