/** Runs a command on a guest over SSH, with the host key that is expected. */
import ssh2 from 'ssh2';

/** Where and as whom. */
export interface SshTarget {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly privateKey?: string | undefined;
  readonly password?: string | undefined;
  /** As in a .pub file. */
  readonly hostKey: string;
}

/** What the command said, and how it ended. Rejects when there is no login. */
export function sshRun(
  target: SshTarget,
  command: string,
  input = '',
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { host, port, username, privateKey, password, hostKey } = target;
  const expected = hostKey.split(' ')[1] ?? '';
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    client.on('error', reject); // Not once: a connection that breaks off tells it twice.
    client.once('ready', () => {
      client.exec(command, (error, channel) => {
        if (error !== undefined) {
          reject(error);
          return;
        }
        let stdout = '';
        let stderr = '';
        let code = -1;
        channel.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
        channel.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
        channel.once('exit', (exit: number) => (code = exit));
        channel.once('close', () => {
          client.end();
          resolve({ code, stdout, stderr });
        });
        channel.end(input);
      });
    });
    client.connect({
      host,
      port,
      username,
      ...(privateKey === undefined ? {} : { privateKey }),
      ...(password === undefined ? {} : { password }),
      hostVerifier: (key: Buffer) => key.toString('base64') === expected,
    });
  });
}
