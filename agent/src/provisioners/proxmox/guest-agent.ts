/**
 * Asks the QEMU guest agent inside a VM. "Not there yet" is an answer, since it comes up some seconds after the guest
 * and may be missing for good; what we may not ask (403) is an error at once.
 */
import { Type } from 'typebox';
import Value from 'typebox/value';
import { sleep, type Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import type { PveCluster } from './pve-cluster.ts';
import { PveRefusal } from './pve-client.ts';
import { pvePath } from './pve-path.ts';

const EXEC_TIMEOUT_MS = 60_000;
const EXEC_POLL_MS = 100;

const InterfacesSchema = Type.Object({
  result: Type.Array(
    Type.Object({
      name: Type.Optional(Type.String()),
      'hardware-address': Type.Optional(Type.String()),
      'ip-addresses': Type.Optional(
        Type.Array(Type.Object({ 'ip-address': Type.String(), 'ip-address-type': Type.String() })),
      ),
    }),
  ),
});
const FileSchema = Type.Object({ content: Type.String() });
const PidSchema = Type.Object({ pid: Type.Integer() });
const ExitSchema = Type.Object({
  exited: Type.Union([Type.Integer(), Type.Boolean()]),
  exitcode: Type.Optional(Type.Integer()),
});

/** Which VM, and how long we go on asking. */
export interface GuestPlace {
  readonly node: string;
  readonly vmid: number;
}

export class GuestAgent {
  readonly #cluster: PveCluster;
  readonly #clock: Clock;
  #major: number | null = null;

  constructor(cluster: PveCluster, clock: Clock) {
    this.#cluster = cluster;
    this.#clock = clock;
  }

  /** The IPv4 addresses of the card with this hardware address; null while the agent does not answer. */
  async addressesOf({ node, vmid }: GuestPlace, mac: string, signal: AbortSignal): Promise<string[] | null> {
    const path = pvePath`/nodes/${node}/qemu/${vmid}/agent/network-get-interfaces`;
    const answer = await unlessSilent(this.#cluster.client.get(path, signal));
    if (answer === null || !Value.Check(InterfacesSchema, answer)) return null;
    const cards = answer.result.filter((card) => card['hardware-address']?.toLowerCase() === mac);
    const addresses = cards.flatMap((card) => card['ip-addresses'] ?? []);
    return addresses.filter((each) => each['ip-address-type'] === 'ipv4').map((each) => each['ip-address']);
  }

  /** A small file of the guest; null where it is not there, or the agent does not answer. */
  async readFile({ node, vmid }: GuestPlace, file: string, signal: AbortSignal): Promise<string | null> {
    const path = pvePath`/nodes/${node}/qemu/${vmid}/agent/file-read`;
    const answer = await unlessSilent(this.#cluster.client.get(path, signal, { file }));
    return Value.Check(FileSchema, answer) ? answer.content : null;
  }

  /** Sets a password. The secret travels in the body of the call, and to the guest not in a command line. */
  async setPassword(
    { node, vmid }: GuestPlace,
    { user, password }: { readonly user: string; readonly password: string },
    signal: AbortSignal,
  ): Promise<void> {
    const path = pvePath`/nodes/${node}/qemu/${vmid}/agent/set-user-password`;
    await orUnavailable(this.#cluster.client.call('POST', path, { username: user, password }, signal));
  }

  /** Runs a shell script as root with `input` on its stdin. Throws COMMAND_FAILED where it does not exit with 0. */
  async runScript(
    { node, vmid }: GuestPlace,
    job: { script: string; input: string },
    signal: AbortSignal,
  ): Promise<void> {
    this.#major ??= await this.#cluster.major(signal);
    const argv = ['sh', '-c', job.script];
    const parameters = {
      // Version 7 takes one text with NUL between the parts; the later ones a list.
      command: this.#major < 8 ? argv.join('\0') : argv,
      'input-data': job.input,
    };
    const { client } = this.#cluster;
    const begun = await orUnavailable(
      client.call('POST', pvePath`/nodes/${node}/qemu/${vmid}/agent/exec`, parameters, signal),
    );
    const { pid } = Value.Parse(PidSchema, begun);
    const startedAt = this.#clock.monotonic();
    for (;;) {
      const path = pvePath`/nodes/${node}/qemu/${vmid}/agent/exec-status`;
      const status = Value.Parse(ExitSchema, await orUnavailable(client.get(path, signal, { pid })));
      if (Boolean(status.exited)) {
        if (status.exitcode === 0) return;
        throw new AppError(
          'COMMAND_FAILED',
          `The guest refused the change with exit code ${status.exitcode ?? 'none'}.`,
        );
      }
      if (this.#clock.monotonic() - startedAt > EXEC_TIMEOUT_MS)
        throw new AppError('PROVISIONER_UNAVAILABLE', 'The guest did not end the change in time.');
      await sleep(this.#clock, EXEC_POLL_MS, signal).catch(() => {
        throw new AppError('SAGA_ABORTED', undefined, { cause: signal.reason });
      });
    }
  }
}

/** Null where the agent, or the way to it, is not there now. */
async function unlessSilent(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof PveRefusal && error.status !== 401 && error.status !== 403) return null;
    if (isAppError(error, 'PROVISIONER_UNAVAILABLE')) return null;
    throw error;
  }
}

async function orUnavailable(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof PveRefusal && error.status !== 401 && error.status !== 403)
      throw new AppError('PROVISIONER_UNAVAILABLE', 'The guest agent in the VM does not answer.', {
        remedy: 'Look whether qemu-guest-agent runs in the guest.',
        cause: error,
      });
    throw error;
  }
}
