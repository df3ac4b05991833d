/**
 * Which bytes an image has to have: the distribution's checksums, fetched, and their signature checked by `gpgv`
 * against the pinned key. The image itself is fetched by the Proxmox host, which holds it against the checksum.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { Host } from './host.ts';
import type { CloudImage, SigningKey } from './image-catalogue.ts';

const FETCH_TIMEOUT_MS = 60_000;
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** An image of which it is known what it has to be. */
export interface VerifiedImage {
  readonly image: CloudImage;
  readonly url: string;
  /** Hex. */
  readonly checksum: string;
}

/** What checking works with. */
export interface VerifyParts {
  /** Where gpgv runs: this machine. */
  readonly here: Host;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** SETUP_IMAGE_UNVERIFIED where anything about it does not add up; SETUP_STEP_FAILED where it cannot be fetched. */
export async function verifyImage(image: CloudImage, parts: VerifyParts): Promise<VerifiedImage> {
  const { folder, file, checksums, signature } = image;
  const sums = await download(`${folder}/${checksums.file}`, signature === null, parts);
  if (signature !== null) {
    const detached = await download(`${folder}/${signature.file}`, false, parts);
    await assertSigned({ signed: sums, signature: detached, key: signature.key, about: image.title }, parts);
  }
  return { image, url: `${folder}/${file}`, checksum: checksumOf(image, sums.toString('utf8')) };
}

/** The checksum of a file in a list as sha256sum writes it, or as BSD does. Exported for its test. */
export function checksumOf({ file, checksums, title }: CloudImage, list: string): string {
  const digits = checksums.algorithm === 'sha256' ? 64 : 128;
  const hex = `([0-9a-f]{${digits}})`;
  const gnu = new RegExp(`^${hex} [ *]${escape(file)}$`);
  const bsd = new RegExp(`^${checksums.algorithm.toUpperCase()} \\(${escape(file)}\\) = ${hex}$`);
  const found = list
    .split('\n')
    .flatMap((line) => (gnu.exec(line.trim()) ?? bsd.exec(line.trim()))?.[1] ?? []);
  const [checksum] = found;
  if (checksum !== undefined && new Set(found).size === 1) return checksum;
  throw new AppError(
    'SETUP_IMAGE_UNVERIFIED',
    `${title}: the list of checksums has no single one for ${file}.`,
  );
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

async function download(url: string, needsTls: boolean, { clock, signal }: VerifyParts): Promise<Buffer> {
  const deadline = new AbortController();
  const cancel = clock.schedule(FETCH_TIMEOUT_MS, () => deadline.abort());
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, deadline.signal]) });
    if (needsTls && !response.url.startsWith('https://'))
      throw new AppError(
        'SETUP_IMAGE_UNVERIFIED',
        `${url} leads to a place without TLS, and has no signature.`,
      );
    if (!response.ok) throw unreachable(url, `HTTP ${response.status}`);
    const body = Buffer.from(await response.arrayBuffer());
    if (body.length > FILE_BYTES_MAX) throw unreachable(url, 'it is far too large');
    return body;
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw unreachable(url, 'there was no answer', error);
  } finally {
    cancel();
  }
}

const unreachable = (url: string, why: string, cause?: unknown): AppError =>
  new AppError('SETUP_STEP_FAILED', `${url} cannot be fetched: ${why}.`, {
    remedy: 'Look whether this machine reaches it, then run this again.',
    cause,
  });

interface Signed {
  readonly signed: Buffer;
  readonly signature: Buffer;
  readonly key: SigningKey;
  readonly about: string;
}

/** gpgv, unlike gpg, trusts the keyring that it is given and nothing else; the fingerprint is compared all the same. */
async function assertSigned(
  { signed, signature, key, about }: Signed,
  { here, signal }: VerifyParts,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dc-agent-image-'));
  try {
    const files = {
      keyring: join(folder, 'key.gpg'),
      sums: join(folder, 'sums'),
      signature: join(folder, 'sums.gpg'),
    };
    await writeFile(files.keyring, Buffer.from(key.keyring, 'base64'));
    await writeFile(files.sums, signed);
    await writeFile(files.signature, signature);
    const argv: [string, ...string[]] = ['gpgv', '--status-fd', '1', '--homedir', folder];
    argv.push('--keyring', files.keyring, files.signature, files.sums);
    const { exitCode, stdout } = await here.run({ argv }, signal);
    // [GNUPG:] VALIDSIG <signing key> … <primary key>: doc/DETAILS of GnuPG.
    const valid = stdout
      .split('\n')
      .some((line) => /^\[GNUPG:\] VALIDSIG /.test(line) && line.trim().endsWith(key.fingerprint));
    if (exitCode === 0 && valid) return;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  throw new AppError(
    'SETUP_IMAGE_UNVERIFIED',
    `${about}: the checksums are not signed by ${key.fingerprint}.`,
    {
      remedy: 'Do not use this image. Somebody may have changed it, or the distribution has a new key.',
    },
  );
}
