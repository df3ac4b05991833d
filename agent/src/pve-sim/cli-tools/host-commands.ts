/**
 * What `pvesh`, `pvesm`, `qm guest exec` and `genisoimage` do on a Proxmox host, done to the simulated cluster over its
 * API as root@pam. For whoever tests a program that works on the host itself.
 */
import type { ApiSession } from './api-session.ts';

/** How a command ended and what it said. */
export interface CommandAnswer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const VERBS: Readonly<Record<string, string>> = { get: 'GET', create: 'POST', set: 'PUT', delete: 'DELETE' };
const EXEC_POLL_MS = 20;

const said = (stdout: string): CommandAnswer => ({ exitCode: 0, stdout, stderr: '' });
const refused = (stderr: string, exitCode = 255): CommandAnswer => ({
  exitCode,
  stdout: '',
  stderr: `${stderr}\n`,
});

/** Runs one on a node. Null where it is none of those that are simulated. */
export async function runHostCommand(
  argv: readonly string[],
  session: ApiSession,
  node: string,
): Promise<CommandAnswer | null> {
  const [name = '', ...args] = argv;
  if (name === 'pvesh') return pvesh(args, session);
  if (name === 'pvesm') return pvesm(args, session, node);
  if (name === 'qm' && args[0] === 'guest' && args[1] === 'exec') return guestExec(args.slice(2), session);
  if (name === 'genisoimage') return genisoimage(args, session, node);
  return null;
}

/** `--name value …`; a name that comes again makes a list. Options of pvesh itself are left out. */
function readOptions(args: readonly string[]): Record<string, string | string[]> {
  const found: Record<string, string | string[]> = {};
  for (let at = 0; at < args.length; at += 2) {
    const name = (args[at] ?? '').replace(/^--?/, '');
    const value = args[at + 1] ?? '';
    if (name === 'output-format' || name === 'noproxy') continue;
    const before = found[name];
    found[name] = before === undefined ? value : [...[before].flat(), value];
  }
  return found;
}

async function pvesh(
  [verb = '', path = '', ...rest]: readonly string[],
  session: ApiSession,
): Promise<CommandAnswer> {
  const method = VERBS[verb];
  if (method === undefined) return refused(`ERROR: unknown command 'pvesh ${verb}'`);
  const answer = await session.call(method, escapePath(path), readOptions(rest));
  if (answer.status !== 200) return refused(answer.reason);
  if (typeof answer.data === 'string' && answer.data.startsWith('UPID:'))
    return waitFor(answer.data, session);
  return said(answer.data === null || answer.data === undefined ? '' : `${JSON.stringify(answer.data)}\n`);
}

const escapePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

/** Like pvesh: the task's log on stdout, its error on stderr, and the same exit code whatever became of it. */
async function waitFor(upid: string, session: ApiSession): Promise<CommandAnswer> {
  const { exitstatus, log } = await session.ended(upid);
  const stdout = `${log}\n${JSON.stringify(upid)}\n`;
  if (exitstatus === 'OK') return said(stdout);
  const warnings = /^WARNINGS: (\d+)$/.exec(exitstatus)?.[1];
  const stderr = warnings === undefined ? exitstatus : `Task finished with ${warnings} warning(s)!`;
  return { exitCode: 0, stdout, stderr: `${stderr}\n` };
}

async function pvesm(
  [verb = '', volume = '']: readonly string[],
  session: ApiSession,
  node: string,
): Promise<CommandAnswer> {
  const [storage = '', name = ''] = volume.split(':');
  if (verb === 'path') {
    const { status, reason, data } = await session.call('GET', `/storage/${storage}`, {});
    const folder = (data as { path?: unknown } | null)?.path;
    if (status !== 200) return refused(reason);
    if (typeof folder !== 'string') return refused(`unable to parse directory volume name '${name}'`);
    return said(`${folder}/template/${name}\n`);
  }
  if (verb !== 'free') return refused(`ERROR: unknown command 'pvesm ${verb}'`);
  const path = `/nodes/${node}/storage/${storage}/content/${encodeURIComponent(volume)}`;
  const answer = await session.call('DELETE', path, {});
  if (answer.status !== 200) return refused(answer.reason);
  return typeof answer.data === 'string' ? waitFor(answer.data, session) : said('');
}

/** `qm guest exec <vmid> [--timeout n] -- command…`: prints the agent's answer as JSON. */
async function guestExec(args: readonly string[], session: ApiSession): Promise<CommandAnswer> {
  const at = args.indexOf('--');
  const [vmid = ''] = args;
  const command = at < 0 ? [] : args.slice(at + 1);
  const node = await session.nodeOf(Number(vmid));
  if (node === null)
    return refused(`Configuration file 'nodes/pve/qemu-server/${vmid}.conf' does not exist`, 2);
  const agent = `/nodes/${node}/qemu/${vmid}/agent`;
  const parameters = (await session.major()) < 8 ? command.join('\0') : command;
  const started = await session.call('POST', `${agent}/exec`, { command: parameters });
  if (started.status !== 200) return refused(started.reason);
  for (;;) {
    const pid = String((started.data as { pid: number }).pid);
    const { status, reason, data } = await session.call('GET', `${agent}/exec-status`, { pid });
    if (status !== 200) return refused(reason);
    if (Number((data as { exited: unknown }).exited) === 1) return said(`${JSON.stringify(data)}\n`);
    await session.pause(EXEC_POLL_MS);
  }
}

/** Puts an ISO where the storage sees it; what is on it is nobody's concern here. */
async function genisoimage(
  args: readonly string[],
  session: ApiSession,
  node: string,
): Promise<CommandAnswer> {
  const file = args[args.indexOf('-output') + 1] ?? '';
  const filename = /\/template\/iso\/([^/]+)$/.exec(file)?.[1];
  if (filename === undefined)
    return refused(`genisoimage: No such file or directory. Unable to open '${file}'.`, 1);
  const path = `/nodes/${node}/storage/local/content`;
  const { data } = await session.call('GET', path, {});
  const isThere = (data as { volid: string }[]).some(({ volid }) => volid === `local:iso/${filename}`);
  if (isThere) return said('');
  const parameters = { content: 'iso', filename, url: 'https://simulated.invalid/seed.iso' };
  const made = await session.call('POST', `/nodes/${node}/storage/local/download-url`, parameters);
  return made.status === 200 ? waitFor(String(made.data), session) : refused(made.reason, 1);
}
