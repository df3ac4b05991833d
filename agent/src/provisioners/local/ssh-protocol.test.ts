/** What the system's own client cannot be made to do: these tests speak the protocol through ssh2's client. */
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import ssh2, {
  type Client,
  type ClientCallback,
  type ClientChannel,
  type ConnectConfig,
  type ParsedKey,
} from 'ssh2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '@dc/shared/clock';
import { systemClock } from '../../lib/system-clock.ts';
import type { Instance } from '../provisioner.ts';
import type { LocalProvisioner } from './local-provisioner.ts';
import { accessOf, LocalFixture } from './testing/local-fixture.ts';

let fixture: LocalFixture;
let driver: LocalProvisioner;
let instance: Instance;
let clients: Client[];

beforeEach(async () => {
  fixture = await LocalFixture.make();
  driver = await fixture.open();
  instance = await driver.create(await fixture.request(), fixture.signal);
  clients = [];
});
afterEach(async () => {
  for (const client of clients) client.end();
  await driver.close();
  await fixture.dispose();
});

/** Connects and logs in; rejects when the server does not let it in. */
function logIn(config: ConnectConfig): Promise<Client> {
  const { host, port, hostKey } = accessOf(instance);
  const client = new ssh2.Client();
  clients.push(client);
  return new Promise((resolve, reject) => {
    client.once('ready', () => resolve(client)).once('error', reject);
    const hostVerifier = (key: Buffer): boolean => key.toString('base64') === hostKey.split(' ')[1];
    client.connect({ host, port, username: 'renter', hostVerifier, ...config });
  });
}

const asRenter = async (): Promise<Client> => logIn({ privateKey: await readFile(fixture.keyFile) });

async function readKey(path: string): Promise<ParsedKey> {
  const key = ssh2.utils.parseKey(await readFile(path, 'utf8'));
  if (key instanceof Error) throw key;
  return key;
}

/** A channel with everything that it has said, and its exit code. */
class Running {
  readonly channel: ClientChannel;
  readonly exit: Promise<unknown>;
  output = '';
  errors = '';

  constructor(channel: ClientChannel) {
    this.channel = channel;
    this.exit = new Promise((resolve) => channel.once('exit', resolve));
    channel.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    channel.stderr.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
  }
}

/** Opens a channel. It is listened to at once: the exit code may come in the same packet as the opening. */
function start(open: (callback: ClientCallback) => unknown): Promise<Running> {
  return new Promise((resolve, reject) => {
    open((error, channel) => (error === undefined ? resolve(new Running(channel)) : reject(error)));
  });
}

const execute = (client: Client, command: string): Promise<Running> =>
  start((callback) => client.exec(command, callback));

describe('logging in without the key', () => {
  it.each<[string, ConnectConfig]>([
    ['a password', { password: '' }],
    ['a password that is tried by keyboard', { tryKeyboard: true, authHandler: ['keyboard-interactive'] }],
    ['nothing at all', { authHandler: ['none'] }],
  ])('is refused with %s', async (_, config) => {
    await expect(logIn(config)).rejects.toMatchObject({ level: 'client-authentication' });
  });

  it('is refused with the public key alone, signed by another', async () => {
    await fixture.makeKey('stranger', 'ed25519');
    const renter = await readKey(`${fixture.keyFile}.pub`);
    const stranger = await readKey(join(fixture.folder, 'stranger'));
    // A forger's agent: it shows the renter's public key and signs with its own.
    class ForgingAgent extends ssh2.BaseAgent<ParsedKey> {
      override getIdentities(callback: (error: undefined, keys: ParsedKey[]) => void): void {
        callback(undefined, [renter]);
      }
      override sign(...[, data, options, callback]: unknown[]): void {
        const done = (callback ?? options) as (error: undefined, signature: unknown) => void;
        done(undefined, stranger.sign(data as Buffer));
      }
    }
    await expect(logIn({ agent: new ForgingAgent() })).rejects.toMatchObject({
      level: 'client-authentication',
    });
  });

  it('is cut off when nothing comes', async () => {
    await driver.close();
    // Ten seconds pass in 30 ms; everything shorter goes on as usual.
    const impatient: Clock = {
      ...systemClock,
      schedule: (delayMs, callback) => systemClock.schedule(delayMs >= 10_000 ? 30 : delayMs, callback),
    };
    driver = await fixture.open({}, impatient);
    const { host, port } = accessOf(instance);
    for (const greeting of ['', 'SSH-2.0-slow\r\n']) {
      const socket = connect({ host, port });
      socket.resume();
      socket.write(greeting);
      await new Promise((resolve) => socket.once('close', resolve));
    }
  });

  it('is cut off when nonsense comes', async () => {
    const { host, port } = accessOf(instance);
    for (const nonsense of [
      'GET / HTTP/1.1\r\n\r\n',
      'SSH-2.0-x\r\n\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff',
    ]) {
      const socket = connect({ host, port });
      socket.resume();
      socket.write(nonsense);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    await asRenter();
  });
});

describe('a session', () => {
  it('passes signals on to the command', async () => {
    const script = 'trap "echo caught; exit 5" USR1; echo ready; while :; do sleep 0.05; done';
    const running = await execute(await asRenter(), script);
    await expect.poll(() => running.output).toBe('ready\n');
    running.channel.signal('USR1');
    expect(await running.exit).toBe(5);
    expect(running.output).toContain('caught');
  });

  it('follows the size of the window', async () => {
    const client = await asRenter();
    const window = { rows: 30, cols: 100, height: 0, width: 0, term: 'vt100' };
    const shell = await start((callback) => client.shell(window, callback));
    shell.channel.write('echo "[$TERM $(stty size)]"\n');
    await expect.poll(() => shell.output).toContain('[vt100 30 100]');
    shell.channel.setWindow(40, 120, 0, 0);
    const askAgain = (): string => {
      shell.channel.write('echo "[$(stty size)]"\n');
      return shell.output;
    };
    await expect.poll(askAgain).toContain('[40 120]');
  });

  it('is one of ten at most on one connection, and makes room when it ends', async () => {
    const client = await asRenter();
    const running = [];
    for (let number = 0; number < 10; number++) running.push(await execute(client, 'cat'));
    await expect(execute(client, 'cat')).rejects.toThrow();
    running[0]?.channel.end();
    const another = () =>
      execute(client, 'true').then(
        () => 'taken',
        () => 'refused',
      );
    await expect.poll(another).toBe('taken');
  });

  it('takes no environment from the client', async () => {
    const client = await asRenter();
    const env = { LD_PRELOAD: '/tmp/x.so', LANG: 'C' };
    const running = await start((callback) => client.exec('echo "[$LD_PRELOAD$LANG]"', { env }, callback));
    await expect.poll(() => running.output).toBe('[]\n');
  });

  it('says when its command cannot be started', async () => {
    const running = await execute(await asRenter(), 'true \u0000');
    expect(await running.exit).toBe(126);
    await expect.poll(() => running.errors).toContain('cannot be started');
  });

  it('is refused as a subsystem that there is not', async () => {
    const client = await asRenter();
    await expect(start((callback) => client.subsys('netconf', callback))).rejects.toThrow();
  });
});
