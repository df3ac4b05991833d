import { connect } from 'node:net';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Instance } from '../provisioner.ts';
import type { LocalProvisioner } from './local-provisioner.ts';
import { findSystemTools } from './system-tools.ts';
import { accessOf, LocalFixture } from './testing/local-fixture.ts';

const hasSftp = (await findSystemTools()).sftpServer !== null;

let fixture: LocalFixture;
let driver: LocalProvisioner;
let instance: Instance;
let home: string;

beforeAll(async () => {
  fixture = await LocalFixture.make();
  driver = await fixture.open();
  instance = await driver.create(await fixture.request(), fixture.signal);
  home = join(fixture.stateDir, 'instances', instance.handle.id, 'home');
});
afterAll(async () => {
  await driver.close();
  await fixture.dispose();
});

describe('who may log in', () => {
  it('is the renter, whatever user name he gives', async () => {
    for (const user of ['renter', 'root', 'ubuntu']) {
      expect(await fixture.ssh(instance, ['true'], { user })).toMatchObject({ exitCode: 0, stderr: '' });
    }
  });

  it('is nobody with another key', async () => {
    await fixture.makeKey('stranger', 'ed25519');
    const login = await fixture.ssh(instance, ['true'], { keyFile: join(fixture.folder, 'stranger') });
    expect(login).toMatchObject({ exitCode: 255, stdout: '' });
    expect(login.stderr).toContain('Permission denied (publickey)');
  });

  it('is nobody who offers key after key', async () => {
    const options: string[] = [];
    for (let number = 0; number < 7; number++) {
      await fixture.makeKey(`many-${number}`, 'ed25519');
      options.push('-i', join(fixture.folder, `many-${number}`));
    }
    const keyFile = join(fixture.folder, 'many-0');
    const login = await fixture.ssh(instance, ['true'], {
      keyFile,
      options: [...options, '-i', fixture.keyFile],
    });
    expect(login.exitCode).toBe(255);
  });

  it.each([
    ['ecdsa', '256'],
    ['ecdsa', '521'],
    ['rsa', '2048'],
  ])('is a renter with an %s key of %s bits', async (type, bits) => {
    const name = `${type}-${bits}`;
    const request = await fixture.request(await fixture.makeKey(name, type, '-b', bits));
    const other = await driver.create(request, fixture.signal);
    const keyFile = join(fixture.folder, name);
    expect(await fixture.ssh(other, ['true'], { keyFile })).toMatchObject({ exitCode: 0, stderr: '' });
    expect((await fixture.ssh(instance, ['true'], { keyFile })).exitCode).toBe(255);
  });

  it('is nobody whose RSA signature is made with SHA-1', async () => {
    const request = await fixture.request(await fixture.makeKey('old-rsa', 'rsa', '-b', '2048'));
    const other = await driver.create(request, fixture.signal);
    const options = ['-v', '-o', 'PubkeyAcceptedAlgorithms=ssh-rsa'];
    const login = await fixture.ssh(other, ['true'], { keyFile: join(fixture.folder, 'old-rsa'), options });
    expect(login.exitCode).toBe(255);
    // It is refused by the server, and not by a client that does not even try.
    expect(login.stderr).toMatch(/Offering public key: .*old-rsa RSA/);
  });

  it('sees that another instance is another host', async () => {
    const other = await driver.create(await fixture.request(), fixture.signal);
    const ssh = { ...accessOf(instance), hostKey: accessOf(other).hostKey };
    const login = await fixture.ssh({ ...instance, ssh }, ['true']);
    expect(login.exitCode).toBe(255);
    expect(login.stderr).toMatch(/host key/i);
  });

  it('learns no version from the greeting', async () => {
    const { host, port } = accessOf(instance);
    const socket = connect({ host, port });
    const greeting = await new Promise((resolve) =>
      socket.once('data', (data) => resolve(data.toString('latin1'))),
    );
    socket.destroy();
    expect(String(greeting).split('\r\n')[0]).toBe('SSH-2.0-dc');
  });
});

describe('a command', () => {
  it('runs in the scratch home, and sees nothing of the agent’s environment', async () => {
    process.env['DC_TEST_SECRET'] = 'hidden';
    const { stdout } = await fixture.ssh(instance, ['pwd; env']);
    delete process.env['DC_TEST_SECRET'];
    const [folder, ...environment] = stdout.trim().split('\n');
    expect(folder).toBe(home);
    const names = environment.map((line) => line.split('=')[0]).sort();
    // PWD, SHLVL and _ are the shell's own.
    expect(names).toEqual(['HOME', 'LOGNAME', 'PATH', 'PWD', 'SHELL', 'SHLVL', 'USER', '_']);
    expect(environment).toContain(`HOME=${home}`);
    expect(environment).toContain('USER=renter');
  });

  it('gives back its output, its errors and its exit code', async () => {
    const login = await fixture.ssh(instance, ['echo out; echo err >&2; exit 42']);
    expect(login).toMatchObject({ exitCode: 42, stdout: 'out\n', stderr: 'err\n' });
  });

  it('that dies of a signal is told from one that ends', async () => {
    const login = await fixture.ssh(instance, ['kill -KILL $$'], {
      options: ['-v', '-o', 'LogLevel=DEBUG1'],
    });
    expect(login.exitCode).not.toBe(0);
    expect(login.stderr).toContain('rtype exit-signal');
  });

  it('gets its input unchanged and to the end', async () => {
    const input = Buffer.alloc(3_000_000, 'any bytes: \u0000 \u00ff \r\n');
    const { stdout } = await fixture.ssh(instance, ['sha256sum'], { input });
    const local = await fixture.run('sha256sum', [], input);
    expect(stdout).toBe(local.stdout);
  });

  it('that cannot be started says so', async () => {
    const login = await fixture.ssh(instance, ['no-such-program']);
    expect(login.exitCode).toBe(127);
  });

  it('may say 50 MB', async () => {
    const { stdout } = await fixture.ssh(instance, ['head -c 50000000 /dev/zero']);
    expect(stdout.length).toBe(50_000_000);
  });

  it('that says more than its reader takes has to wait, and costs no memory', async () => {
    // Each turn is 1 MB. Windows, pipes and sockets between the two hold some MB together, far from 100.
    const script = 'for n in $(seq 100); do head -c 1000000 /dev/zero; echo $n > progress; done';
    const reader = await fixture.startSsh(instance, script);
    reader.stdout.pause();
    reader.stderr.resume();
    const progress = async () => Number(await readFile(join(home, 'progress'), 'utf8').catch(() => '0'));
    let before = -1;
    await expect
      .poll(
        async () => {
          const now = await progress();
          const isStuck = now > 0 && now === before;
          before = now;
          return isStuck;
        },
        { interval: 300, timeout: 10_000 },
      )
      .toBe(true);
    expect(await progress()).toBeLessThan(40);
    let bytes = 0;
    reader.stdout.on('data', (chunk: Buffer) => (bytes += chunk.length));
    reader.stdout.resume();
    expect(await reader.ended).toMatchObject({ exitCode: 0 });
    expect(bytes).toBe(100_000_000);
  });

  it('twenty at once all answer', async () => {
    const logins = Array.from({ length: 20 }, (_, number) => fixture.ssh(instance, [`echo ${number}`]));
    const said = (await Promise.all(logins)).map((login) => login.stdout.trim());
    expect(said).toEqual(Array.from({ length: 20 }, (_, number) => String(number)));
  });
});

describe('a terminal', () => {
  it('is one, of the size and kind that the client has', async () => {
    const login = await fixture.ssh(instance, ['tty && stty size && echo $TERM; exit 3'], {
      options: ['-tt'],
    });
    expect(login.stdout).toMatch(/^\/dev\/pts\/\d+\r\n24 80\r\n\w+\r\n$/);
    expect(login.exitCode).toBe(3);
  });

  it('greets an interactive login, and runs what is typed', async () => {
    const input = 'echo typed-$((40+2))\nexit 9\n';
    const login = await fixture.ssh(instance, [], { options: ['-tt'], input });
    expect(login.stdout).toContain('This is a demonstration instance');
    expect(login.stdout).toContain('typed-42\r\n');
    expect(login.stdout).toContain('demo:~');
    expect(login.exitCode).toBe(9);
  });

  it('is not there for a shell without one, and neither is the greeting', async () => {
    const login = await fixture.ssh(instance, [], { options: ['-T'], input: 'tty; echo $0; exit 4\n' });
    expect(login).toMatchObject({ exitCode: 4, stdout: expect.stringMatching(/^not a tty\n/) as string });
  });
});

describe('forwarding', () => {
  it('of ports is refused in both directions', async () => {
    const there = await fixture.ssh(instance, [], {
      options: ['-W', `127.0.0.1:${accessOf(instance).port}`],
    });
    expect(there.exitCode).toBe(255);
    const options = ['-o', 'ExitOnForwardFailure=yes', '-R', '0:127.0.0.1:1'];
    expect((await fixture.ssh(instance, ['true'], { options })).exitCode).toBe(255);
  });

  it('of agents and of X11 does not happen', async () => {
    const login = await fixture.ssh(instance, ['echo "[$SSH_AUTH_SOCK$DISPLAY]"'], { options: ['-A', '-X'] });
    expect(login.stdout).toBe('[]\n');
  });
});

// npm test installs openssh-sftp-server where it may; without it the driver refuses the subsystem.
describe.skipIf(!hasSftp)('copying files (needs OpenSSH’s sftp-server)', () => {
  it('works with scp in both directions', async () => {
    const access = accessOf(instance);
    const trust = [...(await fixture.trustOptions(access)), '-P', String(access.port)];
    await mkdir(join(fixture.folder, 'back'));
    const content = 'x'.repeat(1_000_000);
    await writeFile(join(fixture.folder, 'there'), content);
    const there = await fixture.run('scp', [...trust, 'there', `${access.host}:copied`]);
    expect(there).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await readFile(join(home, 'copied'), 'utf8')).toBe(content);
    expect((await fixture.run('scp', [...trust, `${access.host}:copied`, 'back/'])).exitCode).toBe(0);
    expect(await readFile(join(fixture.folder, 'back', 'copied'), 'utf8')).toBe(content);
  });

  it('works with sftp', async () => {
    const access = accessOf(instance);
    const args = [...(await fixture.trustOptions(access)), '-P', String(access.port), '-b', '-', access.host];
    const session = await fixture.run('sftp', args, 'mkdir made\nls\n');
    expect(session.exitCode).toBe(0);
    expect(session.stdout).toContain('made');
  });
});
