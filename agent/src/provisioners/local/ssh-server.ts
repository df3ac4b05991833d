/**
 * The SSH server of one instance, on a loopback port: it lets in whoever holds the renter's private key, under any
 * user name; once a password was set, the user who knows it; and nobody else.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { utils, AuthContext, Connection, ParsedKey, Server as SshServer, Session } from 'ssh2';
import type { CancelTimer, Clock } from '@dc/shared/clock';
import { warmUpCommands, type RunningCommand } from '../../lib/run-command.ts';
import { isPassword, type PasswordHash } from './password-hash.ts';
import { serveSession } from './ssh-session.ts';
import type { SystemTools } from './system-tools.ts';

const HANDSHAKE_MS_MAX = 10_000; // A client on the same machine needs some 100 ms; a person is not involved.
const AUTH_FAILURES_MAX = 6; // As OpenSSH's MaxAuthTries: an agent with several keys offers each of them.
const SESSIONS_MAX = 10; // As OpenSSH's MaxSessions.
const CONNECTIONS_MAX = 200; // For one instance; a login costs about 100 kB here and a process there.
const GOODBYE_MS = 500; // How long a client may take to hang up after it was told to.
const KEEPALIVE_MS = 30_000;
const KEEPALIVES_MISSED_MAX = 3;

/** Who gets in. */
export interface Admission {
  /** The renter's key: one line in OpenSSH's format. */
  readonly authorizedKey: string;
  /** Null: nobody gets in by password. */
  readonly password: PasswordHash | null;
}

/** Everything one server is. */
export interface ServerSettings extends Admission {
  readonly host: string;
  /** 0: the operating system chooses. */
  readonly port: number;
  readonly hostKey: string;
  readonly home: string;
  readonly user: string;
}

/** What servers share. */
export interface ServerParts {
  readonly ssh2: Ssh2;
  readonly tools: SystemTools;
  readonly clock: Clock;
}

/** What is used of the package, which takes about 30 ms and 18 MB to load. */
export interface Ssh2 {
  readonly Server: typeof SshServer;
  readonly utils: typeof utils;
}

/** Loads what serving a login needs. */
export async function loadSsh2(): Promise<Ssh2> {
  const [{ default: ssh2 }] = await Promise.all([import('ssh2'), warmUpCommands()]);
  return ssh2;
}

export class LocalSshServer {
  readonly #parts: ServerParts;
  readonly #settings: ServerSettings;
  readonly #listener: Server;
  readonly #ssh: SshServer;
  #authorizedKey: ParsedKey;
  #password: PasswordHash | null;
  readonly #sockets = new Map<number, { socket: Socket; cancelTimer: CancelTimer }>();
  readonly #running = new Set<RunningCommand>();

  private constructor(settings: ServerSettings, parts: ServerParts) {
    this.#parts = parts;
    this.#settings = settings;
    this.#authorizedKey = parseKey(parts, settings.authorizedKey);
    this.#password = settings.password;
    this.#ssh = new parts.ssh2.Server(
      {
        hostKeys: [settings.hostKey],
        ident: 'dc', // What follows `SSH-2.0-`; the default names the package and its version.
        keepaliveInterval: KEEPALIVE_MS,
        keepaliveCountMax: KEEPALIVES_MISSED_MAX,
        algorithms: {
          kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'],
          serverHostKey: ['ssh-ed25519'],
          cipher: [
            'chacha20-poly1305@openssh.com',
            'aes128-gcm@openssh.com',
            'aes256-gcm@openssh.com',
            'aes128-ctr',
            'aes256-ctr',
          ],
          hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256'],
          compress: ['none'],
        },
      },
      (connection, { port }) => this.#onConnection(connection, port),
    );
    this.#listener = createServer({ noDelay: true }, (socket) => this.#onSocket(socket));
    this.#listener.maxConnections = CONNECTIONS_MAX;
  }

  /** Starts listening. Rejects with the system's error, EADDRINUSE when the port is taken. */
  static async listen(settings: ServerSettings, parts: ServerParts): Promise<LocalSshServer> {
    const server = new LocalSshServer(settings, parts);
    await new Promise<void>((resolve, reject) => {
      server.#listener.once('error', reject);
      server.#listener.listen({ host: settings.host, port: settings.port, exclusive: true }, resolve);
    });
    return server;
  }

  get port(): number {
    const address = this.#listener.address();
    return address !== null && typeof address === 'object' ? address.port : this.#settings.port;
  }

  /** Lets in others from now on. Whoever is in stays in, as on any server. */
  admit({ authorizedKey, password }: Admission): void {
    this.#authorizedKey = parseKey(this.#parts, authorizedKey);
    this.#password = password;
  }

  /** Stops listening, ends what runs in sessions, and hangs up. Idempotent. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    await Promise.all([...this.#running].map((running) => running.stop(GOODBYE_MS)));
    for (const { socket } of this.#sockets.values()) socket.end();
    const cancel = this.#parts.clock.schedule(GOODBYE_MS, () => {
      for (const { socket } of this.#sockets.values()) socket.destroy();
    });
    await closed;
    cancel();
  }

  #onSocket(socket: Socket): void {
    const port = socket.remotePort;
    if (port === undefined) {
      socket.destroy(); // It has gone already.
      return;
    }
    const cancelTimer = this.#parts.clock.schedule(HANDSHAKE_MS_MAX, () => socket.destroy());
    this.#sockets.set(port, { socket, cancelTimer });
    socket.once('close', () => {
      cancelTimer();
      this.#sockets.delete(port);
    });
    this.#ssh.injectSocket(socket);
  }

  #onConnection(connection: Connection, port: number): void {
    let failures = 0;
    const sessions = new Set<Session>();
    // A client that breaks off or breaks the protocol is cut off by the package and gets no further.
    connection.on('error', () => {});
    connection.on('authentication', (attempt) => {
      void this.#mayEnter(attempt).then((mayEnter) => {
        if (mayEnter) attempt.accept();
        else if (++failures >= AUTH_FAILURES_MAX) connection.end();
        else attempt.reject(this.#password === null ? ['publickey'] : ['publickey', 'password']);
      });
    });
    connection.on('ready', () => this.#sockets.get(port)?.cancelTimer());
    connection.on('close', () => {
      for (const session of sessions) session.emit('close'); // The package says so only of those that end by themselves.
    });
    // Without a listener the client's promise to open no more sessions is not kept for it.
    connection.on('request', (_accept, reject) => {
      reject?.();
    });
    connection.on('session', (accept, reject) => {
      if (sessions.size >= SESSIONS_MAX) {
        reject();
        return;
      }
      const session = accept();
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
      serveSession(session, {
        home: this.#settings.home,
        user: this.#settings.user,
        tools: this.#parts.tools,
        clock: this.#parts.clock,
        running: this.#running,
      });
    });
  }

  /** Whether an attempt gives the password, or shows the renter's key and, where it is signed, holds it. Never rejects. */
  async #mayEnter(attempt: AuthContext): Promise<boolean> {
    if (attempt.method === 'password') {
      const { username, password } = attempt;
      return this.#password !== null && isPassword(this.#password, username, password);
    }
    if (attempt.method !== 'publickey') return false;
    const key = this.#authorizedKey;
    const { algo, data } = attempt.key;
    if (algo !== key.type || !key.getPublicSSH().equals(data)) return false;
    // RSA with SHA-1 comes without the name of a hash.
    if (key.type === 'ssh-rsa' && attempt.hashAlgo === undefined) return false;
    if (attempt.signature === undefined) return true; // It asks whether it may try with this key.
    if (attempt.blob === undefined) return false;
    // Its types do not say so, but a signature that cannot be read is answered with an Error, which is truthy.
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-boolean-literal-compare -- See above.
    return key.verify(attempt.blob, attempt.signature, attempt.hashAlgo) === true;
  }
}

function parseKey({ ssh2 }: ServerParts, line: string): ParsedKey {
  const key = ssh2.utils.parseKey(line);
  if (key instanceof Error) throw key;
  return key;
}
