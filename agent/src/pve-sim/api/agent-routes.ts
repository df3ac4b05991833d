/** Calls that ask the guest agent of a running VM. */
import { AgentRefusal, AgentSilent } from '../guests/machine.ts';
import { PveError } from '../http/pve-error.ts';
import type { ParameterTable } from './parameters.ts';
import { vmOf } from './qemu-routes.ts';
import {
  FLAG,
  NODE,
  opt,
  perm,
  permAny,
  TEXT,
  VMID,
  type Call,
  type Permission,
  type Route,
} from './route.ts';

const PATH = '/nodes/{node}/qemu/{vmid}/agent';
const FILE_BYTES_MAX = 16 * 1024 ** 2;
const READ_BYTES = 1024 ** 2;

/** Calls that hand the agent's own answer on: path → the agent's command. */
const SIMPLE: readonly (readonly ['GET' | 'POST', string, string])[] = [
  ['POST', 'ping', 'guest-ping'],
  ['GET', 'network-get-interfaces', 'guest-network-get-interfaces'],
  ['GET', 'get-osinfo', 'guest-get-osinfo'],
  ['GET', 'get-host-name', 'guest-get-host-name'],
  ['GET', 'get-users', 'guest-get-users'],
  ['GET', 'info', 'guest-info'],
];

export const AGENT_ROUTES: readonly Route[] = [
  ...SIMPLE.map(([method, name, command]): Route =>
    route([method, name], 'audit', {}, async (call) => ({ result: await ask(call, command) })),
  ),
  route(
    ['POST', 'set-user-password'],
    'unrestricted',
    { username: TEXT, password: { type: 'string', maxLength: 1_024 }, crypted: FLAG },
    async (call) => {
      const { params } = call;
      const args = {
        username: params.text('username'),
        password: Buffer.from(params.text('password')).toString('base64'),
        crypted: params.flag('crypted'),
      };
      return { result: await ask(call, 'guest-set-user-password', args) };
    },
  ),
  route(
    ['POST', 'exec'],
    'unrestricted',
    {
      command: { type: 'array', before8: { type: 'string', optional: true } },
      'input-data': opt({ type: 'string', maxLength: 65_536 }),
    },
    (call) => exec(call),
  ),
  route(['GET', 'exec-status'], 'unrestricted', { pid: { type: 'integer' } }, (call) => execStatus(call)),
  route(
    ['GET', 'file-read'],
    'read',
    {
      file: TEXT,
      count: { type: 'integer', optional: true, minimum: 1, since: 9 },
      decode: { ...FLAG, since: 9 },
      offset: { type: 'integer', optional: true, since: 9 },
    },
    (call) => fileRead(call),
  ),
  route(
    ['POST', 'file-write'],
    'write',
    { file: TEXT, content: { type: 'string', maxLength: 61_440 }, encode: FLAG },
    (call) => fileWrite(call),
  ),
];

type Need = 'audit' | 'read' | 'write' | 'unrestricted';

function route(
  [method, name]: readonly [Route['method'], string],
  need: Need,
  parameters: ParameterTable,
  handle: Route['handle'],
): Route {
  return {
    method,
    path: `${PATH}/${name}`,
    parameters: { node: NODE, vmid: VMID, ...parameters },
    permission: (major) => permission(major, need),
    needsQuorum: false,
    handle,
  };
}

/** Before 9 one privilege for everything; since then by what is asked. */
function permission(major: number, need: Need): Permission {
  if (major < 9) return perm('/vms/{vmid}', 'VM.Monitor');
  if (need === 'unrestricted') return perm('/vms/{vmid}', 'VM.GuestAgent.Unrestricted');
  const specific = {
    audit: 'VM.GuestAgent.Audit',
    read: 'VM.GuestAgent.FileRead',
    write: 'VM.GuestAgent.FileWrite',
  }[need];
  return permAny('/vms/{vmid}', specific, 'VM.GuestAgent.Unrestricted');
}

async function ask(
  call: Call,
  command: string,
  args: Readonly<Record<string, unknown>> = {},
): Promise<unknown> {
  const vm = vmOf(call);
  if (!vm.config.has('agent')) throw PveError.failed('No QEMU guest agent configured');
  if (vm.machine === undefined) throw PveError.failed(`VM ${vm.vmid} is not running`);
  if (!vm.hasAgent) throw PveError.failed('QEMU guest agent is not running');
  try {
    return await vm.machine.askAgent(command, args);
  } catch (error) {
    if (error instanceof AgentSilent) throw PveError.failed('QEMU guest agent is not running');
    if (error instanceof AgentRefusal) throw PveError.failed(`Agent error: ${error.message}`);
    throw error;
  }
}

/** Version 7 takes one text whose parts a NUL separates; later ones take a list. */
async function exec(call: Call): Promise<unknown> {
  const { params } = call;
  const [path = '', ...arg] = params.list('command').flatMap((part) => part.split('\0'));
  const input = params.textOr('input-data');
  const args = {
    path,
    arg,
    'capture-output': true,
    ...(input === undefined ? {} : { 'input-data': Buffer.from(input).toString('base64') }),
  };
  return ask(call, 'guest-exec', args);
}

async function execStatus(call: Call): Promise<unknown> {
  const status = (await ask(call, 'guest-exec-status', { pid: call.params.integer('pid') })) as Record<
    string,
    unknown
  >;
  const shown: Record<string, unknown> = { ...status, exited: Number(status.exited === true) };
  for (const key of ['out-data', 'err-data']) {
    if (typeof status[key] === 'string') shown[key] = Buffer.from(status[key], 'base64').toString('utf8');
  }
  return shown;
}

async function fileRead(call: Call): Promise<unknown> {
  const handle = await ask(call, 'guest-file-open', { path: call.params.text('file') });
  const chunks: Buffer[] = [];
  let left = FILE_BYTES_MAX;
  let isAtEnd = false;
  while (!isAtEnd && left > 0) {
    const read = (await ask(call, 'guest-file-read', { handle, count: Math.min(READ_BYTES, left) })) as {
      'buf-b64': string;
      eof: boolean;
    };
    const chunk = Buffer.from(read['buf-b64'], 'base64');
    chunks.push(chunk);
    left -= chunk.length;
    isAtEnd = read.eof || chunk.length === 0;
  }
  await ask(call, 'guest-file-close', { handle });
  const content = Buffer.concat(chunks);
  return {
    content: call.params.flag('decode', true) ? content.toString('utf8') : content.toString('base64'),
    ...(isAtEnd ? {} : { truncated: 1 }),
  };
}

async function fileWrite(call: Call): Promise<null> {
  const { params } = call;
  const content = params.text('content');
  const handle = await ask(call, 'guest-file-open', { path: params.text('file'), mode: 'wb' });
  const encoded = params.flag('encode', true) ? Buffer.from(content).toString('base64') : content;
  await ask(call, 'guest-file-write', { handle, 'buf-b64': encoded });
  await ask(call, 'guest-file-close', { handle });
  return null;
}
