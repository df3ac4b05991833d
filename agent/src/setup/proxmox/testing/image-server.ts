/** A distribution's image server on loopback, with checksums that a real OpenPGP key of its own has signed. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CloudImage } from '../image-catalogue.ts';

const SYSTEMS = ['debian-12', 'debian-13', 'ubuntu-22.04', 'ubuntu-24.04', 'rocky-9'];

/** A key pair of GnuPG's in a folder of its own. */
export class TestSigner {
  readonly #home = mkdtempSync(join(tmpdir(), 'dc-gpg-'));
  readonly fingerprint: string;
  readonly keyring: string;

  constructor(name: string) {
    this.#gpg('--quick-gen-key', '--passphrase', '', name, 'ed25519', 'sign', 'never');
    const listed = this.#gpg('--with-colons', '--list-keys').toString();
    this.fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(listed)?.[1] ?? '';
    this.keyring = this.#gpg('--export').toString('base64');
  }

  /** A detached signature. */
  sign(text: string): Buffer {
    const file = join(this.#home, 'text');
    writeFileSync(file, text);
    return this.#gpg('--detach-sign', '--output', '-', file);
  }

  dispose(): void {
    rmSync(this.#home, { recursive: true, force: true });
  }

  /** Without an agent that would outlive the test. */
  #gpg(...args: string[]): Buffer {
    const all = ['--homedir', this.#home, '--batch', '--no-tty', '--pinentry-mode', 'loopback', ...args];
    try {
      return execFileSync('gpg', all, { stdio: ['ignore', 'pipe', 'pipe'] });
    } finally {
      execFileSync('gpgconf', ['--homedir', this.#home, '--kill', 'gpg-agent'], { stdio: 'ignore' });
    }
  }
}

export class ImageServer {
  readonly files = new Map<string, Buffer | string>();
  /** What was asked for. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #signer: TestSigner;

  private constructor(server: Server, signer: TestSigner) {
    this.#server = server;
    this.#signer = signer;
  }

  static async start(signer: TestSigner): Promise<ImageServer> {
    const server = createServer((request, response) => {
      const name = (request.url ?? '').slice(1);
      self.asked.push(name);
      const file = self.files.get(name);
      response.statusCode = file === undefined ? 404 : 200;
      response.end(file);
    });
    const self = new ImageServer(server, signer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    for (const system of SYSTEMS) self.files.set(`${system}.img`, `the image of ${system}`);
    self.sign();
    return self;
  }

  /** Writes and signs the checksums of what is there now. */
  sign(signer = this.#signer): void {
    const images = [...this.files].filter(([name]) => name.endsWith('.img'));
    const lines = images.map(
      ([name, bytes]) => `${createHash('sha256').update(bytes).digest('hex')} *${name}\n`,
    );
    this.files.set('SHA256SUMS', lines.join(''));
    this.files.set('SHA256SUMS.gpg', signer.sign(lines.join('')));
  }

  /** The catalogue that leads here. */
  get images(): CloudImage[] {
    const { port } = this.#server.address() as AddressInfo;
    const { fingerprint, keyring } = this.#signer;
    return SYSTEMS.map((system) => ({
      system,
      title: `Test of ${system}`,
      folder: `http://127.0.0.1:${port}`,
      file: `${system}.img`,
      checksums: { file: 'SHA256SUMS', algorithm: 'sha256' },
      signature: { file: 'SHA256SUMS.gpg', key: { fingerprint, keyring } },
      vouchedBy: 'signed by the test',
      commands: [],
    }));
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
