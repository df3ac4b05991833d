/**
 * The tools of a Proxmox host as programs: a folder for PATH with `pvesh`, `pvesm`, `qm` and `genisoimage`, each of which
 * asks this process, over a socket, what the command does to the simulated cluster.
 */
import { chmod, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { ApiSession } from './api-session.ts';
import { runHostCommand, type CommandAnswer } from './host-commands.ts';

const TOOLS = ['pvesh', 'pvesm', 'qm', 'genisoimage'];

/** Plain JavaScript without imports that take time: a set-up starts a hundred of them. */
const program = (socket: string): string => `#!${process.execPath}
const { basename } = require('node:path');
const argv = [basename(process.argv[1]), ...process.argv.slice(2)];
let text = '';
require('node:net').connect(${JSON.stringify(socket)})
  .setEncoding('utf8')
  .on('data', (chunk) => { text += chunk; })
  .on('end', () => {
    const { exitCode, stdout, stderr } = JSON.parse(text);
    process.stderr.write(stderr);
    process.stdout.write(stdout, () => { process.exitCode = exitCode; });
  })
  .end(JSON.stringify(argv));
`;

/** The programs, for as long as it runs. */
export class HostCommandServer {
  /** Every command so far, as it was typed. */
  readonly commands: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Puts the programs into `folder`, where its socket goes too. The tools run on `node`. */
  static async start(folder: string, session: ApiSession, node: string): Promise<HostCommandServer> {
    const answer = async (argv: string[]): Promise<CommandAnswer> => {
      self.commands.push(argv.join(' '));
      const unknown = { exitCode: 127, stdout: '', stderr: `${argv.join(' ')}: not simulated\n` };
      return (await runHostCommand(argv, session, node)) ?? unknown;
    };
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      let text = '';
      socket.setEncoding('utf8').on('data', (chunk: string) => void (text += chunk));
      // Who asked may have been killed meanwhile.
      socket.on('error', () => undefined);
      socket.on('end', () => {
        void answer(JSON.parse(text) as string[])
          .catch((error: unknown) => ({ exitCode: 70, stdout: '', stderr: `${String(error)}\n` }))
          .then((said) => socket.end(JSON.stringify(said)));
      });
    });
    const self = new HostCommandServer(server);
    const path = join(folder, 'socket');
    await rm(path, { force: true }); // Of one that was killed.
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    for (const tool of TOOLS) {
      await writeFile(join(folder, tool), program(path));
      await chmod(join(folder, tool), 0o755);
    }
    return self;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
