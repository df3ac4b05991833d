/** What runs for the instances of the `local` driver in this process: servers, ports, room, and problems. */
import { AppError, isAppError } from '@dc/shared/errors';
import { randomFraction } from '@dc/shared/random';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { instanceId } from '../instance-id.ts';
import type { CreateRequest, FreeCapacity, InstanceSpec } from '../provisioner.ts';
import type { ProvisionerContext } from '../registry.ts';
import { openSshPrivateKey } from '../ssh-host-key.ts';
import type { InstanceRecord, InstanceStore } from './instance-store.ts';
import { killProcessesAtHome } from './leftover-processes.ts';
import type { LocalSettings } from './local-options.ts';
import { type Admission, loadSsh2, LocalSshServer, type ServerParts } from './ssh-server.ts';
import { findSystemTools, type SystemTools } from './system-tools.ts';

const HOSTNAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const PORT_TRIES_MAX = 50; // The system hands out a port that a stopped instance keeps about never.

/** What an instance takes up, whether it is on or off. Unknown parts are 0. */
interface Held {
  readonly cpu: number;
  readonly memoryMb: number;
  readonly diskGb: number;
  /** Kept for it while it is off. Null while it is being made, and when its record cannot be read. */
  readonly port: number | null;
}

export class LocalMachines {
  readonly #settings: LocalSettings;
  readonly #store: InstanceStore;
  readonly #context: ProvisionerContext;
  readonly #servers = new Map<string, LocalSshServer>();
  readonly #held = new Map<string, Held>();
  readonly #problems = new Map<string, string>();
  #parts: Promise<ServerParts> | undefined;
  #tools: Promise<SystemTools> | undefined;
  #isClosed = false;

  constructor(settings: LocalSettings, store: InstanceStore, context: ProvisionerContext) {
    this.#settings = settings;
    this.#store = store;
    this.#context = context;
  }

  /** Loads in the background what the first instance needs, so that its renter does not wait for it. */
  warmUp(): void {
    // Whoever needs it first is told what is wrong.
    this.#serverParts().catch(() => {});
  }

  tools(): Promise<SystemTools> {
    return (this.#tools ??= findSystemTools());
  }

  isUp(id: string): boolean {
    return this.#servers.has(id);
  }

  problemOf(id: string): string | undefined {
    return this.#problems.get(id);
  }

  /** What may still be ordered. */
  free(): FreeCapacity {
    const { capacity } = this.#settings;
    const held = [...this.#held.values()];
    const left = (part: 'cpu' | 'memoryMb' | 'diskGb'): number =>
      Math.max(0, capacity[part] - held.reduce((sum, one) => sum + one[part], 0));
    const instances = Math.max(0, capacity.instances - held.length);
    const diskGb = left('diskGb');
    const storages = [{ name: 'instances', freeGb: diskGb }];
    const room = { cpu: left('cpu'), memoryMb: left('memoryMb'), diskGb, instances, storages };
    const { ports } = this.#settings;
    if (ports === null) return room;
    // One port each; those that other programs listen on are not known here.
    return { ...room, portBlocks: Math.max(0, ports.last - ports.first + 1 - held.length) };
  }

  /** Counts an instance that is on the disk. */
  adopt(record: InstanceRecord): void {
    const { cpu, memoryMb, diskGb } = record.spec;
    this.#held.set(record.id, { cpu, memoryMb, diskGb, port: record.port });
  }

  /** Counts an instance of which nothing more is known. */
  setAside(id: string): void {
    this.#held.set(id, { cpu: 0, memoryMb: 0, diskGb: 0, port: null });
  }

  /** Makes an instance with a listening server. Aborted before it exists on the disk, it leaves nothing. */
  async make(request: CreateRequest, signal: AbortSignal): Promise<InstanceRecord> {
    const { contractId, token, seal, spec } = request;
    checkSpec(spec);
    const id = instanceId(contractId, token);
    this.#reserve(id, spec);
    let server: LocalSshServer | undefined;
    try {
      const hostKeySeed = Buffer.from(this.#context.random.bytes(32)).toString('base64');
      server = await this.#listen({ id, spec, hostKeySeed }, null);
      const { port } = server;
      const record: InstanceRecord = {
        format: 1,
        id,
        contractId,
        token,
        seal,
        port,
        hostKeySeed,
        phase: 'ready',
        power: 'running',
        spec: { ...spec },
      };
      const isAbandoned = (): boolean => signal.aborted || this.#isClosed;
      const isMade = await this.#store.make(record, profileOf(spec), isAbandoned);
      if (!isMade) throw new AppError('SAGA_ABORTED', undefined, { cause: signal.reason });
      this.adopt(record);
      await this.#keep(id, server);
      return record;
    } catch (error) {
      await server?.close();
      this.#held.delete(id);
      throw error;
    }
  }

  /** Starts the server of an instance on its own port. PROVISIONER_UNAVAILABLE when somebody else has that. */
  async start(record: InstanceRecord): Promise<void> {
    const { id, port } = record;
    if (this.#servers.has(id)) return;
    try {
      await this.#keep(id, await this.#listen(record, port));
      this.#problems.delete(id);
    } catch (error) {
      const problem = isPortTaken(error)
        ? `another program listens on its port ${port}`
        : 'its server does not start';
      this.#problems.set(id, problem);
      if (isAppError(error)) throw error;
      throw new AppError('PROVISIONER_UNAVAILABLE', `The instance stays off: ${problem}.`, { cause: error });
    }
  }

  /** Lets in from now on whom the record names; a server that is off learns it when it starts. */
  admit(record: InstanceRecord): void {
    this.#servers.get(record.id)?.admit(admissionOf(record));
  }

  /** Ends the server of an instance and everything that runs in it. */
  async stop(id: string): Promise<void> {
    const server = this.#servers.get(id);
    this.#servers.delete(id);
    this.#problems.delete(id);
    await server?.close();
    await killProcessesAtHome(this.#store.homeOf(id), this.#context.clock);
  }

  /** Gives back what a destroyed instance took up. */
  forget(id: string): void {
    this.#held.delete(id);
  }

  /** Ends all servers and all that runs in them. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const servers = [...this.#servers.values()];
    this.#servers.clear();
    await Promise.all(servers.map((server) => server.close()));
    if (servers.length > 0) await killProcessesAtHome(this.#store.folder, this.#context.clock);
  }

  /** Takes room for an instance before anything waits, so that two orders cannot both take the last of it. */
  #reserve(id: string, spec: InstanceSpec): void {
    const free = this.free();
    const { cpu, memoryMb, diskGb } = spec;
    if (free.instances < 1 || free.cpu < cpu || free.memoryMb < memoryMb || free.diskGb < diskGb) {
      throw new AppError('PROVISIONER_EXHAUSTED');
    }
    this.#held.set(id, { cpu, memoryMb, diskGb, port: null });
  }

  /** Keeps a server that has begun to listen, unless the driver was closed meanwhile. */
  async #keep(id: string, server: LocalSshServer): Promise<void> {
    if (!this.#isClosed) return void this.#servers.set(id, server);
    await server.close();
    throw new AppError('SAGA_ABORTED', 'The driver was closed.');
  }

  /** Listens on the given port, or with null on a free one that no other instance keeps. */
  async #listen(
    record: Pick<InstanceRecord, 'id' | 'spec' | 'hostKeySeed' | 'password'>,
    port: number | null,
  ): Promise<LocalSshServer> {
    const { id, hostKeySeed } = record;
    const parts = await this.#serverParts();
    const settings = {
      host: this.#settings.bind,
      hostKey: openSshPrivateKey(Buffer.from(hostKeySeed, 'base64')),
      ...admissionOf(record),
      home: this.#store.homeOf(id),
      user: this.#settings.user,
    };
    if (port !== null) return LocalSshServer.listen({ ...settings, port }, parts);
    for (const candidate of this.#candidatePorts()) {
      try {
        const server = await LocalSshServer.listen({ ...settings, port: candidate }, parts);
        if (candidate !== 0 || !this.#isKept(server.port)) return server;
        await server.close();
      } catch (error) {
        if (!isPortTaken(error)) throw error;
      }
    }
    throw new AppError('PROVISIONER_EXHAUSTED', 'No port is free for another instance.');
  }

  /** The ports to try: the whole range from a random place on, or 0 for the system's choice. */
  *#candidatePorts(): Generator<number> {
    const { ports } = this.#settings;
    if (ports === null) {
      for (let tries = 0; tries < PORT_TRIES_MAX; tries++) yield 0;
      return;
    }
    const count = ports.last - ports.first + 1;
    const offset = Math.floor(randomFraction(this.#context.random) * count);
    for (let step = 0; step < count; step++) {
      const port = ports.first + ((offset + step) % count);
      if (!this.#isKept(port)) yield port;
    }
  }

  #isKept(port: number): boolean {
    return [...this.#held.values()].some((held) => held.port === port);
  }

  #serverParts(): Promise<ServerParts> {
    return (this.#parts ??= (async () => {
      const [ssh2, tools] = await Promise.all([loadSsh2(), this.tools()]);
      return { ssh2, tools, clock: this.#context.clock };
    })());
  }
}

const admissionOf = ({ spec, password }: Pick<InstanceRecord, 'spec' | 'password'>): Admission => ({
  authorizedKey: parseSshPublicKey(spec.sshPublicKey).line,
  password: password ?? null,
});

function isPortTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
}

function checkSpec(spec: InstanceSpec): void {
  const refused = (detail: string, cause?: unknown): AppError =>
    new AppError('PROVISIONER_SPEC_UNSUPPORTED', detail, { cause });
  if (!HOSTNAME.test(spec.hostname)) throw refused('The host name is not a DNS label.');
  try {
    parseSshPublicKey(spec.sshPublicKey);
  } catch (error) {
    throw refused('The SSH key cannot be used.', error);
  }
}

/** The prompt is all that an instance can show of its name; it is read by bash and by other shells. */
function profileOf({ hostname }: InstanceSpec): string {
  return `if [ -n "$BASH" ]; then PS1='${hostname}:\\w\\$ '; else PS1='${hostname}:$PWD$ '; fi\n`;
}
