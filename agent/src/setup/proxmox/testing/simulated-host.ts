/** The Proxmox host of a simulated cluster: its tools speak to the simulator, everything else is written down. */
import type { Clock } from '@dc/shared/clock';
import type { ApiSession } from '../../../pve-sim/cli-tools/api-session.ts';
import { openRootSession } from '../../../pve-sim/cli-tools/open-root-session.ts';
import { runHostCommand } from '../../../pve-sim/cli-tools/host-commands.ts';
import type { PveSimulator } from '../../../pve-sim/start-pve-simulator.ts';
import type { Host, HostCommand, HostResult } from '../host.ts';

export class SimulatedHost implements Host {
  /** Every command so far, as it was typed. */
  readonly commands: string[] = [];
  /** What was written by `tee`, by file. */
  readonly written = new Map<string, string>();
  readonly #session: ApiSession;
  readonly #node: string;

  constructor(simulator: PveSimulator, clock: Clock) {
    [this.#node = ''] = simulator.control.cluster.nodes.keys();
    this.#session = openRootSession(simulator, clock);
  }

  run(command: HostCommand): Promise<HostResult> {
    return this.#run(command, this.#node);
  }

  async #run({ argv, input }: HostCommand, node: string): Promise<HostResult> {
    this.commands.push(argv.join(' '));
    if (argv[0] === 'ssh') return this.#onNode(argv, input);
    const answer = await runHostCommand(argv, this.#session, node);
    if (answer !== null) return answer;
    if (argv[0] === 'tee') this.written.set(argv[1] ?? '', input ?? '');
    return { exitCode: 0, stdout: '', stderr: '' };
  }

  /** As between the nodes of a cluster. */
  #onNode(argv: readonly string[], input: string | undefined): Promise<HostResult> {
    const line = argv.at(-1) ?? '';
    const words = [...line.matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map(
      (match) => match[2] ?? (match[1] ?? '').replaceAll(`'\\''`, `'`),
    );
    const [first = '', ...rest] = words;
    const alias = argv.find((word) => word.startsWith('HostKeyAlias=')) ?? '';
    const node = alias.replace('HostKeyAlias=', '');
    return this.#run({ argv: [first, ...rest], ...(input === undefined ? {} : { input }) }, node);
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}
