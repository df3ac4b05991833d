/** `npm run rent`: one rental from account to refund through the public API, with a table of stage times or `--json`. */
import { parseArgs } from 'node:util';
import { ProblemError } from './api-client.ts';
import { rentOnce, type RentalReport } from './rent-once.ts';

const USAGE = `Usage: npm run rent -- [--url http://127.0.0.1:8787] [--json]

Plays a renter through the public API: account, rent, pay, wait on the stream, log in with the system's ssh, run a
command, cancel, and check the refund and that the instance is gone.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:8787' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (!/^https?:$/.test(URL.parse(values.url)?.protocol ?? '')) {
    process.stderr.write(
      `--url takes an address such as http://127.0.0.1:8787, not "${values.url}".\n\n${USAGE}`,
    );
    return 2;
  }
  const report = await rentOnce(values.url, (stage) => {
    if (!values.json) process.stdout.write(`  ${stage.name.padEnd(16)} ${formatMs(stage.duration_ms)}\n`);
  });
  process.stdout.write(values.json ? `${JSON.stringify(report, null, 2)}\n` : summary(report));
  return report.instance_gone && report.released ? 0 : 1;
}

function summary(report: RentalReport): string {
  const rows: [string, string][] = [
    ['Offering', `${report.offering}, ${report.total}`],
    ['Contract', report.contract_id],
    ['Login', report.ssh_command],
    ['Host key', report.host_key_fingerprint],
    ['It said', report.command_output],
    ['Refunded', report.refunded],
    ['Instance', report.instance_gone ? 'gone' : 'STILL ANSWERS'],
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(16)} ${value}`);
  return `\n${lines.join('\n')}\n\nPaid to ssh: ${formatMs(report.paid_to_ssh_ms).trim()}\n`;
}

const formatMs = (ms: number): string => `${ms.toFixed(1)} ms`.padStart(12);

try {
  process.exitCode = await main();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) {
    process.stderr.write(`${message}\n\n${USAGE}`);
    process.exitCode = 2;
  } else {
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : '';
    process.stderr.write(`The rental failed: ${message}${cause}\n`);
    if (!(error instanceof ProblemError))
      process.stderr.write('Is the system running? Start it with: npm start\n');
    process.exitCode = 1;
  }
}
