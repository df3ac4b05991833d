/**
 * How the launcher brings Node where there is none: the real code and the real npm, against a registry on loopback
 * that serves small packages made here.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bringRuntime, isFitNode, nodeBuildFor } from '../scripts/launch/node-runtime.mjs';

const VERSION = '99.1.0';
const ENVIRONMENT_BEFORE = { ...process.env };

interface Parcel {
  name: string;
  version: string;
  integrity: string;
}

let folder: string;
let server: Server;
let requests: string[];
let tarballs: Map<string, Buffer>;

beforeEach(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'dc-bring-'));
  requests = [];
  tarballs = new Map();
  server = createServer((request, response) => {
    const [, name = '', file] = (request.url ?? '').split('/');
    requests.push(request.url ?? '');
    const tarball = tarballs.get(name);
    if (!tarball) return response.writeHead(404).end('{}');
    if (file !== undefined) return response.end(tarball);
    const dist = { tarball: `${address()}/${name}/package.tgz`, integrity: integrityOf(tarball) };
    const versions = { [VERSION]: { name, version: VERSION, dist } };
    return response.end(JSON.stringify({ name, 'dist-tags': { latest: VERSION }, versions }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env.npm_config_registry = address();
  process.env.npm_config_cache = path.join(folder, 'cache');
  process.env.npm_config_fetch_retries = '0';
});

afterEach(async () => {
  process.env = { ...ENVIRONMENT_BEFORE };
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

function address(): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function integrityOf(tarball: Buffer): string {
  return `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
}

/** Makes a package with one program, and offers it in the registry. */
function offer(name: string, program: string, source: string): Parcel {
  const source_ = path.join(folder, 'source', 'package');
  mkdirSync(path.join(source_, 'bin'), { recursive: true });
  writeFileSync(path.join(source_, 'package.json'), JSON.stringify({ name, version: VERSION }));
  writeFileSync(path.join(source_, 'bin', program), source);
  chmodSync(path.join(source_, 'bin', program), 0o755);
  const { stdout } = spawnSync('tar', ['-cz', '-C', path.dirname(source_), 'package']);
  rmSync(source_, { recursive: true });
  tarballs.set(name, stdout);
  return { name, version: VERSION, integrity: integrityOf(stdout) };
}

const offerNode = (printed = `v${VERSION}`): Parcel =>
  offer('node-test', 'node', `#!/bin/sh\necho ${printed}\n`);
const offerNpm = (): Parcel => offer('npm-test', 'npm-cli.js', 'console.log(1);');
const broughtFiles = (): string[] =>
  existsSync(path.join(folder, '.runtime')) ? readdirSync(path.join(folder, '.runtime')) : [];

describe('bringing Node', () => {
  it('leaves a Node that runs, and its npm, and asks nothing of the registry the next time', async () => {
    const [node, npm] = [offerNode(), offerNpm()];
    const runtime = await bringRuntime(folder, node, npm);
    expect(spawnSync(runtime.node, ['--version'], { encoding: 'utf8' }).stdout).toBe(`v${VERSION}\n`);
    expect(readFileSync(runtime.npm ?? '', 'utf8')).toBe('console.log(1);');
    expect(broughtFiles().sort()).toEqual(['node', 'npm']);
    const before = requests.length;
    expect(await bringRuntime(folder, node, npm)).toEqual(runtime);
    expect(requests).toHaveLength(before);
  });

  it('starts anew after a download that was cut', async () => {
    mkdirSync(path.join(folder, '.runtime', 'node.download', 'node_modules', 'node-test'), {
      recursive: true,
    });
    writeFileSync(path.join(folder, '.runtime', 'node.download', 'package.json'), '{"half');
    mkdirSync(path.join(folder, '.runtime', 'node'));
    await bringRuntime(folder, offerNode(), offerNpm());
    expect(broughtFiles().sort()).toEqual(['node', 'npm']);
  });

  it('replaces another version', async () => {
    const old = path.join(folder, '.runtime', 'node');
    mkdirSync(old, { recursive: true });
    writeFileSync(path.join(old, 'package.json'), JSON.stringify({ name: 'node-test', version: '1.0.0' }));
    const runtime = await bringRuntime(folder, offerNode(), offerNpm());
    expect(spawnSync(runtime.node, [], { encoding: 'utf8' }).stdout).toBe(`v${VERSION}\n`);
  });

  it('refuses a package whose content is not the pinned one, and leaves nothing', async () => {
    const pinned = offerNode();
    offerNode('v99.1.0 # changed');
    await expect(bringRuntime(folder, pinned, offerNpm())).rejects.toThrow(
      /could not be brought[\s\S]*EINTEGRITY/,
    );
    expect(broughtFiles()).toEqual([]);
  });

  it('refuses a Node that does not run here, and leaves nothing', async () => {
    await expect(bringRuntime(folder, offerNode('Illegal instruction'), offerNpm())).rejects.toThrow(
      'does not run on this machine: Illegal instruction',
    );
    expect(broughtFiles()).toEqual([]);
  });

  it('says what to do when there is no network, and leaves nothing', async () => {
    const node = offerNode();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(bringRuntime(folder, node, offerNpm())).rejects.toMatchObject({
      message: expect.stringContaining('ECONNREFUSED') as string,
      remedy: expect.stringContaining('install Node 24 yourself') as string,
    });
    expect(broughtFiles()).toEqual([]);
  });
});

describe('the choice of a Node', () => {
  it.each([
    ['18.20.8', false],
    ['20.20.2', false],
    ['22.18.0', false],
    ['22.19.0', true],
    ['23.11.0', false],
    ['24.0.0', true],
    ['26.1.0', true],
  ])('takes %s as it is: %s', (version, isFit) => {
    expect(isFitNode(version)).toBe(isFit);
  });

  it('pins a build for each platform by version and content', () => {
    for (const arch of ['x64', 'arm64']) {
      expect(nodeBuildFor('linux', arch, false)).toMatchObject({
        name: `node-linux-${arch}`,
        version: '24.21.0',
        integrity: expect.stringMatching(/^sha512-/) as string,
      });
    }
  });

  it('sends Alpine to its own packages, and an unknown platform to the download page', () => {
    expect(() => nodeBuildFor('linux', 'x64', true)).toThrow(/linux on x64 with musl/);
    expect(() => nodeBuildFor('sunos', 'x64', false)).toThrow(/no Node package for sunos on x64/);
  });
});
