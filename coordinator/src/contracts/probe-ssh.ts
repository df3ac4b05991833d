/**
 * Looks at an SSH server from outside: connects, does the key exchange, and returns the fingerprint of the host key
 * that it proved to hold. Nobody logs in.
 */
import { AppError } from '@dc/shared/errors';
import { fingerprintOf } from '@dc/shared/ssh-public-key';

/** Where to look. */
export interface ProbeTarget {
  host: string;
  port: number;
  timeoutMs: number;
}

/** The host key's fingerprint. Throws INSTANCE_UNREACHABLE when there is no key exchange within `timeoutMs`. */
export async function probeHostKey(target: ProbeTarget): Promise<string> {
  // Loaded when the first instance is delivered: an idle coordinator does without it.
  const { default: ssh2 } = await import('ssh2');
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    let fingerprint: string | null = null;
    const finish = (error?: Error): void => {
      client.destroy();
      if (fingerprint !== null) resolve(fingerprint);
      else reject(new AppError('INSTANCE_UNREACHABLE', undefined, { cause: error }));
    };
    client.on('error', finish);
    client.on('close', () => {
      finish();
    });
    client.connect({
      host: target.host,
      port: target.port,
      username: 'dc-probe',
      readyTimeout: target.timeoutMs,
      timeout: target.timeoutMs,
      // Saying no ends the connection right after the server has proved its key: that is all we came for.
      hostVerifier: (key: Buffer) => {
        fingerprint = fingerprintOf(key);
        return false;
      },
    });
  });
}

/** Whether the coordinator may connect there: an agent must not aim us at our own networks. */
export function mayProbe(host: string, allowLoopback: boolean): boolean {
  if (host === 'localhost' || /^127\./.test(host) || host === '::1') return allowLoopback;
  if (/^[0-9.]+$/.test(host)) return isPublicIpv4(host);
  if (host.includes(':')) return /^[23][0-9a-f]{3}:/i.test(host); // 2000::/3, the only global unicast there is.
  // A name could resolve to anything; names come with the gateway, which checks what it made.
  return false;
}

function isPublicIpv4(host: string): boolean {
  const [a = 0, b = 0] = host.split('.').map(Number);
  const reserved =
    a === 0 ||
    a === 10 ||
    a >= 224 ||
    (a === 100 && b >= 64 && b <= 127) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b <= 31) ||
    (a === 192 && (b === 168 || b === 0)) ||
    (a === 198 && (b === 18 || b === 19));
  return !reserved;
}
