/**
 * Waits until a guest can be logged in to, by three channels that do not need each other: the guest agent (address by
 * the hardware address of net0, host key and machine-id read inside), the neighbours that this machine has seen
 * (address by the same), and the SSH server (which proves its host key). A deadline names the ones that failed.
 */
import { readFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { sleep, type Clock } from '@dc/shared/clock';
import { AppError, isAppError } from '@dc/shared/errors';
import { readHostKey, type SshServerSeen } from '../../health/probe-ssh.ts';
import type { GuestAccess } from './claim-store.ts';
import type { GuestAgent, GuestPlace } from './guest-agent.ts';
import { contains, ipv4Number, type Network } from './ipv4.ts';
import type { WaitPace } from './wait-pace.ts';

/** How long others took from their start says when to look. */
const PACE_KIND = 'guest';
/** The agent of a guest whose SSH server answers is up within this, or within a quarter of the time, or missing. */
const AGENT_PATIENCE_MS = 15_000;

export interface GuestWait {
  readonly agent: GuestAgent;
  readonly pace: WaitPace;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly sshPort: number;
  readonly networks: readonly Network[] | null;
  readonly timeoutMs: number;
  /** The address that it was told to have; null: by DHCP. */
  readonly address: string | null;
  /** The kernel's table of neighbours; `/proc/net/arp`. */
  readonly neighboursFile: string;
  /** Throws where the guest has what only another one may have. Clones that share a machine-id share an address. */
  readonly assertOwn: (seen: { readonly hostKey: string | null; readonly machineId: string | null }) => void;
}

interface Seen {
  agent: string;
  address: string;
  ssh: string;
}

/** Waits for the guest. Throws PROVISIONER_FAILED after `timeoutMs`, saying what each channel said last; SAGA_ABORTED. */
export async function awaitGuest(place: GuestPlace, mac: string, wait: GuestWait): Promise<GuestAccess> {
  const { clock, signal, timeoutMs, pace } = wait;
  const begun = clock.monotonic();
  const seen: Seen = { agent: 'did not answer', address: 'none was seen', ssh: 'was not asked' };
  let sshSince: number | null = null;
  for (;;) {
    const lookedAtMs = clock.monotonic() - begun;
    const told = await addressInside(place, mac, wait, seen);
    const host = told ?? (await neighbourOf(mac, wait)) ?? wait.address;
    if (host !== null) seen.address = host;
    // Side by side: a slow guest takes its time for each.
    const [inside, shown] = await Promise.all([
      told === null ? NOTHING_INSIDE : lookInside(place, wait),
      host === null ? null : shownHostKey(host, wait, seen),
    ]);
    wait.assertOwn(inside);
    if (host !== null && shown !== null) {
      sshSince ??= clock.monotonic();
      const access = judge(
        {
          host,
          shown,
          inside,
          isPatient: clock.monotonic() - sshSince < Math.min(AGENT_PATIENCE_MS, timeoutMs / 4),
        },
        seen,
      );
      if (access !== null) {
        pace.note(PACE_KIND, lookedAtMs);
        return access;
      }
    }
    if (clock.monotonic() - begun >= timeoutMs) throw notReady(seen, timeoutMs);
    await sleep(clock, pace.pauseMs(PACE_KIND, clock.monotonic() - begun), signal).catch(() => {
      throw new AppError('SAGA_ABORTED', undefined, { cause: signal.reason });
    });
  }
}

interface Inside {
  readonly hostKey: string | null;
  readonly machineId: string | null;
}

const NOTHING_INSIDE: Inside = { hostKey: null, machineId: null };

/** The address of net0, by the guest agent. */
async function addressInside(
  place: GuestPlace,
  mac: string,
  { agent, signal, networks }: GuestWait,
  seen: Seen,
): Promise<string | null> {
  const addresses = await agent.addressesOf(place, mac, signal);
  if (addresses === null) return null;
  const host = addresses.find((address) => isGuestAddress(address, networks)) ?? null;
  seen.agent = host === null ? 'answers, and knows no address of net0 that can be used' : 'answers';
  return host;
}

async function lookInside(place: GuestPlace, { agent, signal }: GuestWait): Promise<Inside> {
  const [key, machineId] = await Promise.all([
    agent.readFile(place, '/etc/ssh/ssh_host_ed25519_key.pub', signal),
    agent.readFile(place, '/etc/machine-id', signal),
  ]);
  const [, hostKey = null] = /^(ssh-ed25519 [A-Za-z0-9+/=]+)/.exec(key ?? '') ?? [];
  const [, id = null] = /^([0-9a-f]{32})\s*$/.exec(machineId ?? '') ?? [];
  return { hostKey, machineId: id };
}

/** The address that a hardware address was last seen with by this machine's kernel. */
async function neighbourOf(mac: string, { neighboursFile, networks }: GuestWait): Promise<string | null> {
  // Not there: another system, or another network. The other channels know more.
  const table = await readFile(neighboursFile, 'utf8').catch(() => '');
  for (const line of table.split('\n').slice(1)) {
    const [address = '', , flags = '', hardware = ''] = line.split(/\s+/);
    const isComplete = (Number(flags) & 2) !== 0;
    if (hardware.toLowerCase() === mac && isComplete && isGuestAddress(address, networks)) return address;
  }
  return null;
}

async function shownHostKey(
  host: string,
  { clock, signal, sshPort }: GuestWait,
  seen: Seen,
): Promise<SshServerSeen | null> {
  try {
    const shown = await readHostKey({ host, port: sshPort }, { clock, signal });
    seen.ssh = 'answers';
    return shown;
  } catch (error) {
    if (!isAppError(error, 'INSTANCE_UNREACHABLE')) throw error;
    seen.ssh = error.message;
    return null;
  }
}

/** The access where what is seen from outside is the guest; null while that is not sure. */
function judge(
  {
    host,
    shown,
    inside,
    isPatient,
  }: { host: string; shown: SshServerSeen; inside: Inside; isPatient: boolean },
  seen: Seen,
): GuestAccess | null {
  const { machineId } = inside;
  const { hostKey, fingerprint } = shown;
  if (inside.hostKey === hostKey) return { host, hostKey, fingerprint, keySource: 'agent', machineId };
  if (inside.hostKey !== null) {
    seen.ssh = 'another machine answers at its address: its host key is not the one inside the guest';
    return null;
  }
  return isPatient ? null : { host, hostKey, fingerprint, keySource: 'first_contact', machineId };
}

function notReady(seen: Seen, timeoutMs: number): AppError {
  return new AppError(
    'PROVISIONER_FAILED',
    `The guest was not ready within ${Math.round(timeoutMs / 1_000)} s. Guest agent: ${seen.agent}. Address: ${seen.address}. SSH: ${seen.ssh}.`,
    { remedy: 'Look at the console of the VM; try the template with dc-agent test-provision.' },
  );
}

/** Whether a renter can be sent to an address. */
export function isGuestAddress(address: string, networks: readonly Network[] | null): boolean {
  if (!isIPv4(address)) return false;
  const number = ipv4Number(address);
  if (networks !== null) return networks.some((each) => contains(each, number));
  const [first = 0, second = 0] = address.split('.').map(Number);
  return first !== 0 && first !== 127 && first < 224 && !(first === 169 && second === 254);
}

/** The hardware address of net0, lower case; null where there is no card. */
export function macOf(net0: string | undefined): string | null {
  return /=((?:[0-9a-f]{2}:){5}[0-9a-f]{2})/i.exec(net0 ?? '')?.[1]?.toLowerCase() ?? null;
}
