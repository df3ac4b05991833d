/** The steps that make the templates: one for each operating system on each node. */
import { AppError } from '@dc/shared/errors';
import { buildTemplate } from './build-template.ts';
import { readGuests, type ClusterNode, type Guest } from './host-facts.ts';
import { apiPath, pveshArgv } from './pvesh.ts';
import { MADE_BY_US, templateNameOf, type SetupContext } from './setup-context.ts';
import type { Action, Step } from './step.ts';
import { verifyImage, type VerifiedImage } from './verify-image.ts';

/** All of them. An image is looked up and verified once, whatever the number of nodes. */
export function templateSteps(context: SetupContext): Step[] {
  const { plan, facts, images } = context;
  const vmids = new Map<string, number>();
  const nodes = facts.nodes.filter(({ name }) => plan.nodes.includes(name));
  return plan.systems.flatMap((system) => {
    const image = images.find((each) => each.system === system);
    if (image === undefined) throw new AppError('COMMAND_USAGE', `There is no image of ${system}.`);
    let verified: Promise<VerifiedImage> | undefined;
    const verify = (): Promise<VerifiedImage> => (verified ??= verifyImage(image, context));
    return nodes.map((node) => templateStep(context, { node, system, verify, vmids }));
  });
}

interface Wanted {
  readonly node: ClusterNode;
  readonly system: string;
  readonly verify: () => Promise<VerifiedImage>;
  /** Which VMID each template is to have, by its node and name: those of a plan are not taken yet. */
  readonly vmids: Map<string, number>;
}

function templateStep(context: SetupContext, { node, system, verify, vmids }: Wanted): Step {
  const { plan, pvesh } = context;
  const name = templateNameOf(plan, system);
  return {
    title: `Template ${name} on ${node.name}`,
    async find() {
      const guests = await readGuests(pvesh);
      const named = guests.filter((guest) => guest.name === name && guest.node === node.name);
      for (const guest of named) await assertOurs(context, guest);
      const finished = named.find(({ isTemplate }) => isTemplate);
      if (finished !== undefined) {
        await assertStorage(context, finished);
        return { detail: `it is there, VMID ${finished.vmid}`, actions: [] };
      }
      const halfMade = named.flatMap((guest) => removal(context, guest));
      const key = `${node.name}/${name}`;
      vmids.delete(key);
      const staying = guests.filter((guest) => !named.includes(guest));
      const taken = new Set([...staying.map((guest) => guest.vmid), ...vmids.values()]);
      const vmid = freeVmid(taken, plan.templateVmid, plan.vmids);
      vmids.set(key, vmid);
      const job = { node, name, vmid, verified: await verify() };
      return { detail: 'it is not there', actions: [...halfMade, ...buildTemplate(context, job)] };
    },
  };
}

/** The next VMID that is not taken, and that is none of those for rentals. */
function freeVmid(
  taken: ReadonlySet<number>,
  from: number,
  { first, last }: { first: number; last: number },
): number {
  let vmid = from;
  while (taken.has(vmid) || (vmid >= first && vmid <= last)) vmid += 1;
  return vmid;
}

/** SETUP_NAME_TAKEN for a guest that has the template's name and was made by somebody else. It is left alone. */
async function assertOurs({ pvesh }: SetupContext, { node, vmid, name, isContainer }: Guest): Promise<void> {
  const path = apiPath`/nodes/${node}/qemu/${vmid}/config`;
  const config = (isContainer ? {} : await pvesh.get(path)) as { description?: unknown };
  if (typeof config.description === 'string' && config.description.includes(MADE_BY_US)) return;
  throw new AppError(
    'SETUP_NAME_TAKEN',
    `VM ${vmid} on ${node} is called ${name}, and set-up did not make it.`,
    {
      remedy: 'Rename it, or give set-up another --template-prefix.',
    },
  );
}

/** SETUP_NAME_TAKEN for a template on another storage than the one that was chosen now: its clones would be there. */
async function assertStorage({ plan, pvesh }: SetupContext, { node, vmid, name }: Guest): Promise<void> {
  const { scsi0 } = (await pvesh.get(apiPath`/nodes/${node}/qemu/${vmid}/config`)) as { scsi0?: unknown };
  const storage = String(scsi0).split(':')[0] ?? '';
  if (storage === plan.storage) return;
  throw new AppError(
    'SETUP_NAME_TAKEN',
    `${name} on ${node} is on the storage ${storage}, not on ${plan.storage}.`,
    {
      remedy: `Choose --storage ${storage}; or destroy VM ${vmid}, or give another --template-prefix, for a new one.`,
    },
  );
}

/** Takes away what an interrupted run has left: it carries our mark, and nobody's data. */
function removal({ pvesh }: SetupContext, { node, vmid }: Guest): Action[] {
  const stop = pveshArgv('create', apiPath`/nodes/${node}/qemu/${vmid}/status/stop`);
  const remove = pveshArgv('delete', apiPath`/nodes/${node}/qemu/${vmid}`, { purge: 1 });
  return [
    {
      line: `take away VM ${vmid}, which an interrupted run has left: ${remove.join(' ')}`,
      async run() {
        const { status } = (await pvesh.get(apiPath`/nodes/${node}/qemu/${vmid}/status/current`)) as {
          status?: unknown;
        };
        if (status === 'running') await pvesh.change(stop);
        await pvesh.change(remove);
      },
    },
  ];
}
