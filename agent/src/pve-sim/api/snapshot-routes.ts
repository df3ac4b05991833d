/** Calls about snapshots. */
import { deleteSnapshot, rollBack, snapshotOf, takeSnapshot } from '../cluster/snapshots.ts';
import { shownValue } from './config-calls.ts';
import { vmOf } from './qemu-routes.ts';
import { FLAG, NODE, opt, perm, permAny, TEXT, VMID, type Route } from './route.ts';

const PATH = '/nodes/{node}/qemu/{vmid}/snapshot';
const NAME = { type: 'string', maxLength: 40, pattern: /^[a-z][a-z0-9_-]+$/i } as const;
const AT = { node: NODE, vmid: VMID };

export const SNAPSHOT_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    parameters: AT,
    permission: perm('/vms/{vmid}', 'VM.Audit'),
    handle: (call) => {
      const vm = vmOf(call);
      const parent = vm.snapshotParent === undefined ? {} : { parent: vm.snapshotParent };
      const current = {
        name: 'current',
        description: 'You are here!',
        digest: vm.digest,
        running: Number(vm.isRunning),
        ...parent,
      };
      const taken = [...vm.snapshots.values()].map(({ name, description, snaptime, parent: of }) => ({
        name,
        description,
        snaptime,
        vmstate: 0,
        ...(of === undefined ? {} : { parent: of }),
      }));
      return [...taken, current];
    },
  },
  {
    method: 'POST',
    path: PATH,
    parameters: { ...AT, snapname: NAME, description: opt(TEXT), vmstate: FLAG },
    permission: perm('/vms/{vmid}', 'VM.Snapshot'),
    handle: (call) => {
      const { params, authId } = call;
      const request = {
        name: params.text('snapname'),
        description: params.textOr('description') ?? '',
        authId,
      };
      return takeSnapshot(call.cluster, vmOf(call), request);
    },
  },
  {
    method: 'DELETE',
    path: `${PATH}/{snapname}`,
    parameters: { ...AT, snapname: NAME, force: FLAG },
    permission: perm('/vms/{vmid}', 'VM.Snapshot'),
    handle: (call) => deleteSnapshot(call.cluster, vmOf(call), call.params.text('snapname'), call.authId),
  },
  {
    method: 'GET',
    path: `${PATH}/{snapname}/config`,
    parameters: { ...AT, snapname: NAME },
    permission: permAny('/vms/{vmid}', 'VM.Snapshot', 'VM.Snapshot.Rollback', 'VM.Audit'),
    handle: (call) => {
      const { config, description, snaptime } = snapshotOf(vmOf(call), call.params.text('snapname'));
      const shown = [...config].map(([key, value]): [string, unknown] => [key, shownValue(key, value)]);
      return Object.fromEntries([...shown, ['description', description], ['snaptime', snaptime]]);
    },
  },
  {
    method: 'POST',
    path: `${PATH}/{snapname}/rollback`,
    parameters: { ...AT, snapname: NAME, start: FLAG },
    permission: permAny('/vms/{vmid}', 'VM.Snapshot', 'VM.Snapshot.Rollback'),
    handle: (call) => rollBack(call.cluster, vmOf(call), call.params.text('snapname'), call.authId),
  },
];
