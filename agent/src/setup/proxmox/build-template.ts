/**
 * Makes one template: the image is fetched by the node itself and held against its checksum, a VM is made of it and
 * booted once with a seed of ours that installs the guest agent, cleaned by that agent, and turned into a template. A
 * boot rather than editing the image: every Proxmox host can do that, and it proves the bridge, DHCP and the mirrors.
 */
import { sleep } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import { toHex } from '@dc/shared/ids';
import { runOrThrow, shellLine } from './host.ts';
import type { ClusterNode } from './host-facts.ts';
import { apiPath, pveshArgv, type ApiPath } from './pvesh.ts';
import { MADE_BY_US, onNode, TEMPLATE_POOL, type SetupContext } from './setup-context.ts';
import type { Action } from './step.ts';
import { CLEAN_SCRIPT, LEFT_SCRIPT, metaData, networkConfig, userData } from './template-seed.ts';
import type { VerifiedImage } from './verify-image.ts';

/** Package mirrors are slow, and so are hosts without KVM. */
const FIRST_BOOT_TIMEOUT_MS = 20 * 60_000;
const OFF_TIMEOUT_MS = 3 * 60_000;
const PAUSE_FIRST_MS = 100;
const PAUSE_MAX_MS = 5_000;
const GUEST_EXEC_SECONDS = 60;
const BUILD_MEMORY_MB = 2_048;

/** One template to make. */
export interface TemplateJob {
  readonly node: ClusterNode;
  readonly name: string;
  readonly vmid: number;
  readonly verified: VerifiedImage;
}

/** What is to be done, in order. */
export function buildTemplate(context: SetupContext, job: TemplateJob): Action[] {
  const { pvesh, plan } = context;
  const { node, vmid } = job;
  const vm = apiPath`/nodes/${node.name}/qemu/${vmid}`;
  const path = (rest: string): ApiPath => `${vm}/${rest}` as ApiPath;
  const change = (argv: [string, ...string[]], run: Action['run'] = () => pvesh.change(argv)): Action => ({
    line: shown(argv),
    run,
  });
  const start = pveshArgv('create', path('status/start'));
  const shutdown = pveshArgv('create', path('status/shutdown'), { timeout: 120, forceStop: 1 });
  const drives = { delete: 'ide3', ide2: `${plan.storage}:cloudinit` };
  return [
    fetchImage(context, job),
    makeSeed(context, job),
    createVm(context, job),
    change(start),
    { line: `wait until cloud-init has ended in VM ${vmid}`, run: () => awaitFirstBoot(context, job) },
    {
      line: `qm guest exec ${vmid} -- sh -c …   # empties machine-id, host keys, logs`,
      run: () => clean(context, job),
    },
    change(shutdown, async () => {
      await pvesh.change(shutdown);
      await awaitOff(context, job);
    }),
    change(pveshArgv('set', path('config'), drives)),
    change(pveshArgv('create', path('template'))),
    removeFiles(context, job),
  ];
}

/** Without the options that are only for reading the answer. */
const shown = (argv: readonly string[]): string => shellLine(argv.slice(0, -2));

const imageFile = ({ verified: { image, checksum } }: TemplateJob): string =>
  `dc-agent-${image.system}-${checksum.slice(0, 12)}.img`;
const seedFile = ({ name }: TemplateJob): string => `dc-agent-seed-${name}.iso`;

/** Proxmox VE fetches it under another name, and renames it when the checksum fits. */
function fetchImage({ pvesh, plan }: SetupContext, job: TemplateJob): Action {
  const { node, verified } = job;
  const folder = apiPath`/nodes/${node.name}/storage/${plan.imageStorage}`;
  const argv = pveshArgv('create', `${folder}/download-url` as ApiPath, {
    content: 'iso',
    filename: imageFile(job),
    url: verified.url,
    'checksum-algorithm': verified.image.checksums.algorithm,
    checksum: verified.checksum,
  });
  const volume = `${plan.imageStorage}:iso/${imageFile(job)}`;
  const isThere = async (): Promise<boolean> => {
    const content = (await pvesh.get(`${folder}/content` as ApiPath, { content: 'iso' })) as {
      volid?: unknown;
    }[];
    return content.some(({ volid }) => volid === volume);
  };
  return {
    line: shown(argv),
    async run() {
      if (await isThere()) return;
      try {
        await pvesh.change(argv);
      } catch (error) {
        if (!(error instanceof AppError) || !/checksum/i.test(error.message)) throw error;
        throw new AppError('SETUP_IMAGE_UNVERIFIED', `${verified.url} is not what its checksum says.`, {
          remedy:
            'Run this again in an hour: a mirror may be half-way through a new image. If it stays, do not use it.',
          cause: error,
        });
      }
      if (!(await isThere()))
        throw new AppError('SETUP_STEP_FAILED', `${volume} is not there after its download.`);
    },
  };
}

/** A NoCloud seed as a CD: `local` takes ISO images everywhere, snippets only where somebody has allowed them. */
function makeSeed(context: SetupContext, job: TemplateJob): Action {
  const { host, signal, random } = context;
  const run = (argv: [string, ...string[]], input?: string): Promise<string> =>
    runOrThrow(host, onNode(job.node, { argv, ...(input === undefined ? {} : { input }) }), signal);
  return {
    line: `genisoimage -volid cidata …   # ${seedFile(job)} on ${job.node.name}: installs the guest agent`,
    async run() {
      const iso = await volumePath(context, job, seedFile(job));
      const folder = `/tmp/dc-agent-seed-${toHex(random.bytes(8))}`;
      await run(['mkdir', '-m', '700', folder]);
      await run(['tee', `${folder}/user-data`], userData(job.verified.image));
      await run(['tee', `${folder}/meta-data`], metaData(job.name));
      const files = [`${folder}/user-data`, `${folder}/meta-data`];
      const { addresses } = context.plan;
      if (addresses !== null) {
        files.push(`${folder}/network-config`);
        await run(
          ['tee', `${folder}/network-config`],
          networkConfig(addresses, await nameserverOf(context, job)),
        );
      }
      await run(['genisoimage', '-quiet', '-output', iso, '-volid', 'cidata', '-joliet', '-rock', ...files]);
      await run(['rm', '-r', folder]);
    },
  };
}

/** The name server of the node, which Proxmox VE hands on to guests too. */
async function nameserverOf({ pvesh }: SetupContext, { node }: TemplateJob): Promise<string> {
  const { dns1 } = (await pvesh.get(apiPath`/nodes/${node.name}/dns`)) as { dns1?: unknown };
  if (typeof dns1 === 'string') return dns1;
  throw new AppError('SETUP_HOST_UNSUITABLE', `${node.name} has no name server.`, {
    remedy: 'Set one: pvesh set /nodes/NODE/dns --search DOMAIN --dns1 ADDRESS.',
  });
}

/** Where a file of the image storage lies on the node. */
async function volumePath(
  { host, plan, signal }: SetupContext,
  { node }: TemplateJob,
  file: string,
): Promise<string> {
  const argv: [string, ...string[]] = ['pvesm', 'path', `${plan.imageStorage}:iso/${file}`];
  const path = (await runOrThrow(host, onNode(node, { argv }), signal)).trim();
  if (path.startsWith('/')) return path;
  throw new AppError('SETUP_STEP_FAILED', `pvesm names no file for ${file} on ${plan.imageStorage}.`, {
    remedy: 'Choose an --image-storage of type dir, nfs or cifs.',
  });
}

/** The mark goes with the call, so that a VM that is half made is known for what it is. */
function createVm(context: SetupContext, job: TemplateJob): Action {
  const { plan, pvesh } = context;
  const { node, name, vmid } = job;
  const settings = (imagePath: string) =>
    pveshArgv('create', apiPath`/nodes/${node.name}/qemu`, {
      vmid,
      name,
      description: `${MADE_BY_US}: ${job.verified.image.title}, ${job.verified.checksum.slice(0, 16)}`,
      pool: TEMPLATE_POOL,
      ostype: 'l26',
      // The default of older versions, kvm64, lacks what Rocky Linux 9 is compiled for.
      cpu: 'host',
      cores: 2,
      memory: BUILD_MEMORY_MB,
      scsihw: 'virtio-scsi-single',
      scsi0: `${plan.storage}:0,import-from=${imagePath},discard=on`,
      ide3: `${plan.imageStorage}:iso/${seedFile(job)},media=cdrom`,
      boot: 'order=scsi0',
      net0: `virtio,bridge=${plan.bridge}`,
      serial0: 'socket',
      vga: 'serial0',
      agent: 1,
    });
  return {
    line: shown(settings(`/…/${imageFile(job)}`)),
    async run() {
      const argv = settings(await volumePath(context, job, imageFile(job)));
      await pvesh.change(argv);
      const config = await pvesh.find(apiPath`/nodes/${node.name}/qemu/${vmid}/config`);
      if (config === null)
        throw new AppError('SETUP_STEP_FAILED', `VM ${vmid} is not there after it was made.`);
    },
  };
}

/** Asks until `isSo`, with growing pauses. */
async function until(
  { clock, signal }: SetupContext,
  { timeoutMs, why, isSo }: { timeoutMs: number; why: () => AppError; isSo: () => Promise<boolean> },
): Promise<void> {
  const deadline = clock.monotonic() + timeoutMs;
  for (let pauseMs = PAUSE_FIRST_MS; !(await isSo()); pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    if (clock.monotonic() > deadline) throw why();
    await sleep(clock, pauseMs, signal);
  }
}

/** What a command in the guest said; null while the guest agent does not answer. */
async function guestExec(
  { host, signal }: SetupContext,
  { node, vmid }: TemplateJob,
  script: string,
): Promise<{ exitCode: number; output: string } | null> {
  const argv: [string, ...string[]] = [
    'qm',
    'guest',
    'exec',
    String(vmid),
    '--timeout',
    String(GUEST_EXEC_SECONDS),
  ];
  const result = await host.run(onNode(node, { argv: [...argv, '--', 'sh', '-c', script] }), signal);
  if (result.exitCode !== 0) return null;
  const said = JSON.parse(result.stdout) as { exited?: unknown; exitcode?: number; 'out-data'?: string };
  return said.exited === 1 || said.exited === true
    ? { exitCode: said.exitcode ?? 1, output: said['out-data'] ?? '' }
    : null;
}

async function awaitFirstBoot(context: SetupContext, job: TemplateJob): Promise<void> {
  let hasAgent = false;
  await until(context, {
    timeoutMs: FIRST_BOOT_TIMEOUT_MS,
    async isSo() {
      const said = await guestExec(context, job, 'cloud-init status');
      hasAgent ||= said !== null;
      if (said !== null && /status: error/.test(said.output))
        throw new AppError('SETUP_STEP_FAILED', `cloud-init failed in VM ${job.vmid} on ${job.node.name}.`, {
          remedy: `Look at its console: qm terminal ${job.vmid}. Then run this again; the VM is taken away then.`,
        });
      return said !== null && /status: (done|disabled|degraded)/.test(said.output);
    },
    why: () =>
      new AppError(
        'SETUP_STEP_FAILED',
        hasAgent
          ? `cloud-init did not end in VM ${job.vmid}.`
          : `No guest agent came up in VM ${job.vmid}: it could not install it, or it has no network.`,
        {
          remedy: `Does ${context.plan.bridge} lead to the internet, and give addresses? See its console: qm terminal ${job.vmid}.`,
        },
      ),
  });
}

async function clean(context: SetupContext, job: TemplateJob): Promise<void> {
  const cleaned = await guestExec(context, job, CLEAN_SCRIPT);
  if (cleaned?.exitCode !== 0)
    throw new AppError(
      'SETUP_STEP_FAILED',
      `VM ${job.vmid} could not be cleaned: ${cleaned?.output.trim() ?? 'no answer'}`,
    );
  const left = await guestExec(context, job, LEFT_SCRIPT);
  if (left?.output.trim() !== '')
    throw new AppError(
      'SETUP_STEP_FAILED',
      `VM ${job.vmid} still has a machine-id or host keys after it was cleaned.`,
    );
}

async function awaitOff(context: SetupContext, { node, vmid }: TemplateJob): Promise<void> {
  await until(context, {
    timeoutMs: OFF_TIMEOUT_MS,
    async isSo() {
      const status = await context.pvesh.get(apiPath`/nodes/${node.name}/qemu/${vmid}/status/current`);
      return (status as { status?: unknown }).status === 'stopped';
    },
    why: () => new AppError('SETUP_STEP_FAILED', `VM ${vmid} does not go off.`),
  });
}

/** The image and the seed are not needed any more. */
function removeFiles({ host, plan, signal }: SetupContext, job: TemplateJob): Action {
  const volumes = [seedFile(job), imageFile(job)].map((file) => `${plan.imageStorage}:iso/${file}`);
  return {
    line: `pvesm free ${volumes.join(' and ')}`,
    async run() {
      for (const volume of volumes) {
        const result = await host.run(onNode(job.node, { argv: ['pvesm', 'free', volume] }), signal);
        // The template is made; what is left behind takes room and does no harm.
        if (result.exitCode !== 0) return;
      }
    },
  };
}
