/** A real SSH server on loopback that stands for a guest: who is let in, and what commands come to, is the test's. */
import type { AddressInfo } from 'node:net';
import ssh2, { type AuthContext, type ServerChannel } from 'ssh2';
import { onTestFinished } from 'vitest';
import type { SshAccess } from '../../provisioners/provisioner.ts';
import { describeHostKey, openSshPrivateKey, publicKeyOfSeed } from '../../provisioners/ssh-host-key.ts';

const HOST_SEED = Buffer.alloc(32, 11);

/** How the guest behaves. */
export interface GuestBehaviour {
  /** The methods that it offers. */
  readonly offers?: ('password' | 'publickey')[];
  /** Whether an attempt is let in; `partial` asks for another factor. A key without a signature is a question. */
  mayEnter?(attempt: AuthContext): boolean | 'partial';
  /** Ends the command, or does not. */
  run?(command: string, stdin: string, channel: ServerChannel): void;
}

/** A guest that listens, and what was tried on it. */
export interface Guest {
  readonly access: SshAccess;
  readonly attempts: string[];
}

/** Starts one; it ends with the test. */
export async function startGuest(behaviour: GuestBehaviour): Promise<Guest> {
  const offers = behaviour.offers ?? ['publickey', 'password'];
  const attempts: string[] = [];
  const connections = new Set<ssh2.Connection>();
  const server = new ssh2.Server({ hostKeys: [openSshPrivateKey(HOST_SEED)] }, (connection) => {
    connections.add(connection);
    connection.on('error', () => undefined); // The client leaves when it has heard enough.
    connection.on('close', () => connections.delete(connection));
    connection.on('authentication', (attempt) => {
      attempts.push(attempt.method);
      const mayEnter = behaviour.mayEnter?.(attempt) ?? false;
      if (mayEnter === true) attempt.accept();
      else attempt.reject(offers, mayEnter === 'partial');
    });
    connection.on('session', (accept) => {
      accept().on('exec', (acceptExec, _reject, { command }) => {
        const channel = acceptExec();
        let stdin = '';
        channel.on('data', (chunk: Buffer) => (stdin += chunk.toString()));
        channel.on('end', () => behaviour.run?.(command, stdin, channel));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    for (const connection of connections) connection.end();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as AddressInfo;
  const hostKey = describeHostKey(publicKeyOfSeed(HOST_SEED));
  return { access: { host: '127.0.0.1', port, user: 'debian', ...hostKey }, attempts };
}

/** A key pair by its seed. */
export function keyPair(byte: number): { privateKey: string; publicLine: string; blob: Buffer } {
  const privateKey = openSshPrivateKey(Buffer.alloc(32, byte));
  const publicLine = describeHostKey(publicKeyOfSeed(Buffer.alloc(32, byte))).hostKey;
  return { privateKey, publicLine, blob: Buffer.from(publicLine.split(' ')[1] ?? '', 'base64') };
}
