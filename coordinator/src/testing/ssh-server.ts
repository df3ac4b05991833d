/** A real SSH server on loopback that lets nobody in: something for the coordinator to look at. */
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import ssh2, { type ParsedKey } from 'ssh2';
import { onTestFinished } from 'vitest';

/** A host key as an SSH server holds it, and as an agent reports it. */
export interface HostKey {
  parsed: ParsedKey;
  /** `ssh-ed25519 AAAA…` */
  line: string;
}

/** The types of host keys that real servers have. */
export type HostKeyType = 'ed25519' | 'ecdsa' | 'rsa';
const BITS = { ed25519: {}, ecdsa: { bits: 256 }, rsa: { bits: 2048 } };

export function makeHostKey(type: HostKeyType = 'ed25519'): HostKey {
  let parsed: ParsedKey | Error;
  do {
    // Now and then ssh2 writes a key that it cannot read itself.
    const pair = ssh2.utils.generateKeyPairSync(type as 'rsa', BITS[type] as { bits: number });
    parsed = ssh2.utils.parseKey(pair.private);
  } while (parsed instanceof Error);
  return { parsed, line: `${parsed.type} ${parsed.getPublicSSH().toString('base64')}` };
}

/** Signs with the key of one server and shows that of another: what somebody can do who has only seen a host key. */
export function pretendHostKey(own: HostKey, shown: HostKey): ParsedKey {
  const pretended = Object.create(own.parsed) as ParsedKey;
  pretended.getPublicSSH = () => shown.parsed.getPublicSSH();
  return pretended;
}

/** Starts a server with these host keys, and returns its port. It ends with the test. */
export async function startSshServer(hostKeys: readonly ParsedKey[], port = 0): Promise<number> {
  const sessions = new Set<ssh2.Connection>();
  // Its types know keys only as text; a parsed one it takes as it is.
  const keys = hostKeys.map((key) => ({ key, passphrase: '' })) as never;
  const server = new ssh2.Server({ hostKeys: keys }, (client) => {
    sessions.add(client);
    client.on('authentication', (attempt) => attempt.reject());
    client.on('error', () => undefined); // Whoever only looks leaves in the middle of it.
    client.on('close', () => sessions.delete(client));
  });
  onTestFinished(async () => {
    for (const client of sessions) client.end();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return listen(server, port);
}

/** Starts something that is no SSH server: it says `greeting` to whoever connects, and then nothing more. */
export async function startOtherServer(greeting: string): Promise<{ port: number; visited: Promise<void> }> {
  const visited = Promise.withResolvers<undefined>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // As above.
    socket.write(greeting, () => visited.resolve(undefined));
  });
  onTestFinished(() => void server.close());
  return { port: await listen(server), visited: visited.promise };
}

/** A port of loopback on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A way to the server on `port` that lets bytes through only once `open` is called. */
export async function startGate(
  port: number,
): Promise<{ port: number; open: () => void; visited: Promise<void> }> {
  const opened = Promise.withResolvers<undefined>();
  const visited = Promise.withResolvers<undefined>();
  const server = createServer((socket) => {
    visited.resolve(undefined);
    void opened.promise.then(() => {
      const onward = connect(port, '127.0.0.1');
      for (const end of [socket, onward])
        end.on('error', () => undefined).on('close', () => onward.destroy());
      socket.pipe(onward).pipe(socket);
    });
  });
  onTestFinished(() => void server.close());
  return { port: await listen(server), open: () => opened.resolve(undefined), visited: visited.promise };
}

async function listen(server: Server, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
