/**
 * The SSH server of a guest in this process: logs in by key or password as the guest's files have it, under the host
 * key of those files, and runs commands in the guest's own small shell. Nothing of the machine around it is reached.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type {
  AuthContext,
  Connection,
  ServerChannel,
  Server as SshServer,
  ServerConfig,
  Session,
  utils,
} from 'ssh2';
import type { Clock } from '@dc/shared/clock';
import { HOST_KEY_FILE, type GuestOs } from './guest-os.ts';
import { serveShell } from './serve-shell.ts';
import type { GuestShell } from './shell/guest-shell.ts';

const AUTH_FAILURES_MAX = 6; // As OpenSSH's MaxAuthTries.
const GOODBYE_MS = 300;

/** What is used of the package. */
export interface Ssh2 {
  readonly Server: typeof SshServer;
  readonly utils: typeof utils;
}

/** Loads the package, which takes some 30 ms and 18 MB, once a guest boots. */
export async function loadSsh2(): Promise<Ssh2> {
  const { default: ssh2 } = await import('ssh2');
  return ssh2;
}

/** What a server needs of its guest. */
export interface GuestSshParts {
  readonly ssh2: Ssh2;
  readonly clock: Clock;
  readonly os: GuestOs;
  readonly shell: GuestShell;
}

export class GuestSshServer {
  readonly #parts: GuestSshParts;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(parts: GuestSshParts) {
    this.#parts = parts;
    this.#listener = createServer({ noDelay: true }, (socket) => this.#onSocket(socket));
  }

  /** Starts listening; rejects with the system's error. */
  static async listen(host: string, port: number, parts: GuestSshParts): Promise<GuestSshServer> {
    const server = new GuestSshServer(parts);
    await new Promise<void>((resolve, reject) => {
      server.#listener.once('error', reject);
      server.#listener.listen({ host, port, exclusive: true }, resolve);
    });
    return server;
  }

  /** Hangs up and stops listening. Idempotent. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    for (const socket of this.#sockets) socket.end();
    const cancel = this.#parts.clock.schedule(GOODBYE_MS, () => {
      for (const socket of this.#sockets) socket.destroy();
    });
    for (const socket of this.#sockets) socket.destroySoon();
    await closed;
    cancel();
  }

  #onSocket(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}); // The client is gone; `close` follows.
    socket.once('close', () => this.#sockets.delete(socket));
    const hostKey = this.#parts.os.read(HOST_KEY_FILE);
    // As sshd without a host key: it does not start, and nobody is let in.
    if (hostKey === undefined) socket.destroy();
    else
      new this.#parts.ssh2.Server(this.#config(hostKey), (connection) =>
        this.#onConnection(connection),
      ).injectSocket(socket);
  }

  #config(hostKey: string): ServerConfig {
    return { hostKeys: [hostKey], ident: 'OpenSSH_9.2p1 Debian-2+deb12u7' };
  }

  #onConnection(connection: Connection): void {
    let failures = 0;
    let user = '';
    connection.on('error', () => {}); // A client that breaks off is cut off by the package.
    connection.on('authentication', (attempt) => {
      if (this.#mayEnter(attempt)) {
        user = attempt.username;
        attempt.accept();
      } else if (++failures >= AUTH_FAILURES_MAX) connection.end();
      else attempt.reject(['publickey', 'password']);
    });
    connection.on('request', (_accept, reject) => {
      reject?.();
    });
    connection.on('session', (accept) => this.#onSession(accept(), user));
  }

  #mayEnter(attempt: AuthContext): boolean {
    const { os } = this.#parts;
    if (os.user(attempt.username) === undefined) return false;
    if (attempt.method === 'password') {
      // As Debian's sshd: root by key only.
      return attempt.username !== 'root' && os.isPassword(attempt.username, attempt.password);
    }
    if (attempt.method !== 'publickey') return false;
    const offered = `${attempt.key.algo} ${attempt.key.data.toString('base64')}`;
    if (!os.authorizedKeys(attempt.username).includes(offered.replace(/^rsa-sha2-\d+/, 'ssh-rsa')))
      return false;
    if (attempt.signature === undefined) return true; // It asks whether it may try with this key.
    const key = this.#parts.ssh2.utils.parseKey(offered);
    if (key instanceof Error || attempt.blob === undefined) return false;
    // A signature that cannot be read is answered with an Error, which is truthy.
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-boolean-literal-compare -- See above.
    return key.verify(attempt.blob, attempt.signature, attempt.hashAlgo) === true;
  }

  #onSession(session: Session, user: string): void {
    let hasTerminal = false;
    session.on('pty', (accept) => {
      hasTerminal = true;
      (accept as (() => void) | undefined)?.();
    });
    session.on('window-change', (accept) => {
      (accept as (() => void) | undefined)?.();
    });
    session.on('exec', (accept, _reject, { command }) => {
      this.#serve(accept(), user, command, hasTerminal);
    });
    session.on('shell', (accept) => {
      this.#serve(accept(), user, null, hasTerminal);
    });
  }

  #serve(channel: ServerChannel, user: string, command: string | null, hasTerminal: boolean): void {
    channel.on('error', () => {}); // The client went while something was to be said.
    channel.stderr.on('error', () => {});
    serveShell(channel, this.#parts.shell, { user, command, hasTerminal });
  }
}
