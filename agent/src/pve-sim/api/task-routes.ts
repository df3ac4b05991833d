/** Calls about tasks: lists, states, logs, stopping. */
import { demand, may } from '../access/check-permission.ts';
import type { Task } from '../cluster/tasks.ts';
import { parseUpid } from '../cluster/upid.ts';
import { PveError } from '../http/pve-error.ts';
import { Listed } from './listed.ts';
import { NODE, opt, TEXT, VMID, type Call, type Route } from './route.ts';

const LOG_LINES = 50; // What a log answers when nothing else is asked for.
const TASKS_LISTED = 50;

export const TASK_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/nodes/{node}/tasks',
    parameters: {
      node: NODE,
      limit: { type: 'integer', optional: true, minimum: 0 },
      start: { type: 'integer', optional: true, minimum: 0 },
      vmid: opt(VMID),
      typefilter: opt(TEXT),
      userfilter: opt(TEXT),
      errors: { type: 'boolean', optional: true },
      source: { type: 'string', optional: true, enum: ['archive', 'active', 'all'] },
    },
    permission: { user: 'all', also: 'Sys.Audit on /nodes/{node}: without it only own tasks are listed.' },
    handle: (call) => listTasks(call),
  },
  {
    method: 'GET',
    path: '/nodes/{node}/tasks/{upid}/status',
    parameters: { node: NODE, upid: TEXT },
    permission: { user: 'all', also: 'Sys.Audit on /nodes/{node} for the tasks of others: 403.' },
    handle: (call) => {
      const { cluster } = call;
      const task = taskOf(call);
      if (cluster.clock.monotonic() - task.startedAtMs < cluster.timing.taskUnknownMs) {
        throw PveError.parameters({ upid: 'no such task' });
      }
      return taskStatus(task);
    },
  },
  {
    method: 'GET',
    path: '/nodes/{node}/tasks/{upid}/log',
    parameters: {
      node: NODE,
      upid: TEXT,
      start: { type: 'integer', optional: true, minimum: 0 },
      limit: { type: 'integer', optional: true, minimum: 0 },
    },
    permission: { user: 'all', also: 'Sys.Audit on /nodes/{node} for the tasks of others: 403.' },
    handle: (call) => {
      const { log } = taskOf(call);
      const start = call.params.integerOr('start', 0);
      const limit = call.params.integerOr('limit', LOG_LINES);
      const lines = log
        .map((t, index) => ({ n: index + 1, t }))
        .slice(start, limit === 0 ? undefined : start + limit);
      return new Listed(lines.length === 0 ? [{ n: 1, t: 'no content' }] : lines, Math.max(1, log.length));
    },
  },
  {
    method: 'DELETE',
    path: '/nodes/{node}/tasks/{upid}',
    parameters: { node: NODE, upid: TEXT },
    permission: { user: 'all', also: 'Sys.Modify on /nodes/{node} for the tasks of others: 403.' },
    needsQuorum: false,
    handle: (call) => {
      const task = taskOf(call, 'Sys.Modify');
      if (task.exitstatus === undefined) task.stop();
    },
  },
];

function isOwner({ authId }: Call, task: Task): boolean {
  const owner = task.tokenid === undefined ? task.user : `${task.user}!${task.tokenid}`;
  return owner === authId || task.user === authId;
}

function taskOf(call: Call, privilege = 'Sys.Audit'): Task {
  const { cluster, params } = call;
  const upid = params.text('upid');
  const node = params.text('node');
  const parts = parseUpid(upid);
  if (parts === null) throw PveError.parameters({ upid: `unable to parse worker upid` });
  if (parts.node !== node) throw PveError.parameters({ upid: 'no such task' });
  const task = cluster.tasks.get(upid);
  if (task === undefined) throw PveError.parameters({ upid: 'no such task' });
  if (!isOwner(call, task)) demand(call, `/nodes/${node}`, [privilege]);
  return task;
}

function taskStatus(task: Task): Record<string, unknown> {
  return {
    upid: task.upid,
    node: task.node,
    pid: task.pid,
    pstart: task.pstart,
    starttime: task.starttime,
    type: task.type,
    id: task.id,
    user: task.user,
    ...(task.tokenid === undefined ? {} : { tokenid: task.tokenid }),
    status: task.exitstatus === undefined ? 'running' : 'stopped',
    ...(task.exitstatus === undefined ? {} : { exitstatus: task.exitstatus }),
  };
}

function listTasks(call: Call): Listed {
  const { cluster, params } = call;
  const node = params.text('node');
  const maySeeAll = may(call, `/nodes/${node}`, ['Sys.Audit']);
  const source = params.textOr('source') ?? 'archive';
  const found = cluster.tasks
    .list()
    .filter(
      (task) =>
        task.node === node &&
        (maySeeAll || isOwner(call, task)) &&
        (source === 'all' || (source === 'active') === (task.exitstatus === undefined)) &&
        (!params.has('vmid') || task.id === params.text('vmid')) &&
        (!params.has('typefilter') || task.type === params.text('typefilter')) &&
        (!params.has('userfilter') || task.user.includes(params.text('userfilter'))) &&
        (!params.flag('errors') || (task.exitstatus !== undefined && task.exitstatus !== 'OK')),
    );
  const start = params.integerOr('start', 0);
  const page = found.slice(start, start + params.integerOr('limit', TASKS_LISTED));
  return new Listed(
    page.map((task) => ({
      upid: task.upid,
      node: task.node,
      pid: task.pid,
      pstart: task.pstart,
      starttime: task.starttime,
      type: task.type,
      id: task.id,
      user: task.tokenid === undefined ? task.user : `${task.user}!${task.tokenid}`,
      ...(task.endtime === undefined ? {} : { endtime: task.endtime }),
      ...(task.exitstatus === undefined ? {} : { status: task.exitstatus }),
    })),
    found.length,
  );
}
