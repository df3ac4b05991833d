/** Connects an SSH channel to a guest's shell: one command with its input, or line after line. */
import type { ServerChannel } from 'ssh2';
import { ShellInput } from './shell/shell-input.ts';
import type { GuestShell } from './shell/guest-shell.ts';

/** What the channel was opened for. */
export interface ShellRequest {
  readonly user: string;
  /** Null: an interactive shell. */
  readonly command: string | null;
  readonly hasTerminal: boolean;
}

/** Serves a channel to its end. */
export function serveShell(channel: ServerChannel, shell: GuestShell, request: ShellRequest): void {
  if (request.command === null && request.hasTerminal) serveTerminal(channel, shell, request.user);
  else serveCommand(channel, shell, request);
}

function serveCommand(channel: ServerChannel, shell: GuestShell, { user, command }: ShellRequest): void {
  const chunks: Buffer[] = [];
  const ended = new Promise<string>((resolve) => {
    const end = (): void => resolve(Buffer.concat(chunks).toString('utf8'));
    channel.on('data', (chunk: Buffer) => chunks.push(chunk));
    channel.once('end', end);
    channel.once('close', end);
  });
  const run = async (): Promise<void> => {
    // A shell without a terminal reads its script from its input.
    const script = command ?? (await ended);
    const result = await shell.run(
      user,
      script,
      new ShellInput(() => (command === null ? Promise.resolve('') : ended)),
    );
    channel.write(result.stdout);
    channel.stderr.write(result.stderr);
    channel.exit(result.exitCode);
    channel.end();
  };
  void run();
}

function serveTerminal(channel: ServerChannel, shell: GuestShell, user: string): void {
  let line = '';
  let queue = Promise.resolve();
  const prompt = (): void => void channel.write(shell.prompt(user));
  const enter = async (text: string): Promise<void> => {
    if (text.trim() === 'exit' || text.trim() === 'logout') {
      channel.exit(0);
      channel.end();
      return;
    }
    const { stdout, stderr } = await shell.run(user, text, ShellInput.of(''));
    channel.write((stdout + stderr).replaceAll('\n', '\r\n'));
    prompt();
  };
  channel.write('A simulated guest: a few commands on a few files.\r\n');
  prompt();
  channel.on('data', (chunk: Buffer) => {
    for (const character of chunk.toString('utf8')) {
      if (character === '\r' || character === '\n') {
        channel.write('\r\n');
        const text = line;
        line = '';
        queue = queue.then(() => enter(text));
      } else if (character === '\u0004' && line === '') queue = queue.then(() => enter('exit'));
      else if (character === '\u007f') {
        if (line !== '') channel.write('\b \b');
        line = line.slice(0, -1);
      } else if (character === '\u0003') {
        line = '';
        channel.write('^C\r\n');
        prompt();
      } else if (character >= ' ') {
        line += character;
        channel.write(character);
      }
    }
  });
}
