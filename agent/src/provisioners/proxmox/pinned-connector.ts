/**
 * TLS to a Proxmox host whose certificate is its own: trusted by its SHA-256 fingerprint and by nothing else (I15).
 * The certificate is compared before a byte of the request, which carries the token, is sent.
 */
import { timingSafeEqual } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { buildConnector } from 'undici';
import { AppError } from '@dc/shared/errors';

/**
 * A connector that lets only those certificates through. `pins` is asked at each connection, so that a renewed
 * certificate can be followed. Any other certificate fails with PROVISIONER_CERTIFICATE_CHANGED.
 */
export function pinnedConnector(
  pins: () => readonly string[],
  options: { timeoutMs: number },
): buildConnector.connector {
  const connect = buildConnector({
    timeout: options.timeoutMs,
    // The chain says nothing about a certificate that signs itself; what is compared below says everything. Node
    // never asks checkServerIdentity for such a chain, and a resumed session shows no certificate to compare.
    rejectUnauthorized: false,
    maxCachedSessions: 0,
  });
  return (target, callback) => {
    connect(target, (error, socket) => {
      if (error !== null) return callback(error, null);
      const shown = (socket as TLSSocket).getPeerCertificate().fingerprint256 as string | undefined;
      try {
        const trusted = pins();
        if (shown !== undefined && trusted.some((pin) => sameFingerprint(pin, shown)))
          return callback(null, socket);
        throw certificateChanged(shown);
      } catch (refusal) {
        // Also where the pins cannot be read, as while a certificate file is being replaced.
        socket.destroy();
        callback(refusal as Error, null);
      }
    });
  };
}

function sameFingerprint(pin: string, shown: string): boolean {
  const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(':', ''), 'hex');
  const [wanted, got] = [bytes(pin), bytes(shown)];
  return wanted.length === 32 && wanted.length === got.length && timingSafeEqual(wanted, got);
}

function certificateChanged(shown: string | undefined): AppError {
  return new AppError(
    'PROVISIONER_CERTIFICATE_CHANGED',
    shown === undefined
      ? 'The Proxmox host showed no certificate.'
      : `The Proxmox host shows another certificate than the one that is pinned: ${shown}.`,
  );
}
