/**
 * One SSH session: a command, a shell or a subsystem, with or without a terminal, connected to a process that
 * leads a group of its own. Forwarding of ports, agents and X11 is not here, and so it is refused.
 */
import type { ServerChannel, Session } from 'ssh2';
import type { Clock } from '@dc/shared/clock';
import { startCommand, type Command, type CommandEnd, type RunningCommand } from '../../lib/run-command.ts';
import type { SystemTools } from './system-tools.ts';
import { resizeTerminal, terminalCommand, type TerminalRequest } from './terminal.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const MOTD =
  'This is a demonstration instance: a shell on the machine of the agent, not a machine of its own.\r\n\r\n';
/** What a client may send; the rest is the kernel's business. */
const SIGNALS: ReadonlySet<string> = new Set(['HUP', 'INT', 'QUIT', 'TERM', 'KILL', 'USR1', 'USR2']);
const CANNOT_EXECUTE = 126; // The shell's own code for it.

/** Where sessions of one instance run. */
export interface SessionPlace {
  readonly home: string;
  readonly user: string;
  readonly tools: SystemTools;
  readonly clock: Clock;
  /** Every process that a session has running; whoever closes the server stops them. */
  readonly running: Set<RunningCommand>;
}

/** Answers the requests of one session until it ends. */
export function serveSession(session: Session, place: SessionPlace): void {
  const { tools } = place;
  let terminal: TerminalRequest | undefined;
  let running: RunningCommand | undefined;
  const base = {
    cwd: place.home,
    env: { HOME: place.home, USER: place.user, LOGNAME: place.user, SHELL: tools.shell, PATH },
  };
  const begin = (channel: ServerChannel, command: Command): void => {
    const closed = new Promise<void>((resolve) => {
      // The channel's own `close` comes only when all input has been read; the session's does not wait for that.
      session.once('close', resolve);
      channel.once('close', resolve);
    });
    void runOn({ channel, closed, onStarted: (started) => (running = started) }, command, place);
  };

  session.on('pty', (accept, _reject, info) => {
    terminal = { term: (info as { term?: string }).term ?? '', rows: info.rows, cols: info.cols };
    // The types say that there is always an answer to give; a client need not want one.
    (accept as (() => void) | undefined)?.();
  });
  session.on('window-change', (accept, _reject, info) => {
    if (running !== undefined) void resizeTerminal(running.pid, info, tools, place.clock);
    (accept as (() => void) | undefined)?.();
  });
  session.on('signal', (accept, _reject, info) => {
    if (SIGNALS.has(info.name)) running?.kill(`SIG${info.name}` as NodeJS.Signals);
    (accept as (() => void) | undefined)?.();
  });
  session.on('exec', (accept, _reject, { command }) => {
    const plain = { ...base, file: tools.shell, args: ['-c', command] };
    begin(accept(), terminal === undefined ? plain : terminalCommand(command, terminal, tools, base));
  });
  session.on('shell', (accept) => {
    const channel = accept();
    if (terminal !== undefined) channel.write(MOTD);
    const plain = { ...base, file: tools.shell, args: ['-l'] };
    begin(channel, terminal === undefined ? plain : terminalCommand(null, terminal, tools, base));
  });
  session.on('subsystem', (accept, reject, { name }) => {
    if (name !== 'sftp' || tools.sftpServer === null) reject();
    else begin(accept(), { ...base, file: tools.sftpServer, args: [] });
  });
}

/** Where a command is connected to. */
interface Line {
  readonly channel: ServerChannel;
  /** Resolves when the client is gone, or wants no more. */
  readonly closed: Promise<void>;
  readonly onStarted: (running: RunningCommand) => void;
}

/** Runs a command on a channel to its end, or until the client goes. Never rejects. */
async function runOn(
  { channel, closed, onStarted }: Line,
  command: Command,
  place: SessionPlace,
): Promise<void> {
  // A client that went while something was still to be written to it: its going is handled below.
  channel.on('error', () => {});
  channel.stderr.on('error', () => {});
  let running: RunningCommand;
  try {
    running = await startCommand(command, place.clock);
  } catch {
    // The command line comes from the renter (a NUL in it, too long): he is the one to be told.
    channel.stderr.write('The command cannot be started.\r\n');
    endChannel(channel, { exitCode: CANNOT_EXECUTE, signal: null });
    return;
  }
  place.running.add(running);
  channel.pipe(running.stdin);
  running.stdout.pipe(channel, { end: false });
  running.stderr.pipe(channel.stderr, { end: true });
  onStarted(running);
  const saidEverything = new Promise<void>((resolve) => channel.stderr.once('finish', resolve));
  // As when a terminal is hung up: what was started with nohup goes on, as it does on a real server.
  void closed.then(() => {
    if (!place.running.has(running)) return;
    running.kill('SIGHUP');
    // What it says from now on has no reader; a pipe that nobody empties would keep it, and us, waiting.
    running.stdout.destroy();
    running.stderr.destroy();
  });
  const end = await running.ended;
  place.running.delete(running);
  await Promise.race([saidEverything, closed]);
  endChannel(channel, end);
}

function endChannel(channel: ServerChannel, end: CommandEnd): void {
  if (end.signal === null) channel.exit(end.exitCode ?? CANNOT_EXECUTE);
  else channel.exit(end.signal.slice('SIG'.length), false, '');
  channel.end();
}
