/**
 * `npm run build [-- FOLDER]`: the release, one folder a program, that runs with Node and nothing else installed.
 * Everything is bundled but what is native; parts that are imported late stay files of their own. The same sources
 * give the same bytes.
 */
import {
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { build, type Metafile } from 'esbuild';
import { writeLicences } from './third-party-licences.ts';

const ROOT = path.dirname(import.meta.dirname);

/** The programs, by the workspace that each is made of. */
const PROGRAMS = { agent: 'dc-agent', coordinator: 'dc-coordinator' } as const;
type Workspace = keyof typeof PROGRAMS;

// better-sqlite3 finds its prebuilt binaries beside itself. The others are optional to who asks for them: ssh2 goes
// without its natives, and a release has its web assets built already.
const NATIVE_PACKAGE = 'better-sqlite3';
const EXTERNAL = [NATIVE_PACKAGE, 'cpu-features', '*.node', 'esbuild'];

// An agent mostly waits, on machines that are there for others: 5 MB of its 100 matter more than how fast it computes.
// Set while it runs, because nothing says by which command a launcher is started.
const V8_FLAGS: Partial<Record<Workspace, string>> = { agent: '--optimize-for-size' };

// CommonJS packages ask for Node's own modules with require(), which ES modules do not have.
const BANNER = `import { createRequire as createRequireForBundle } from 'node:module';
import { dirname as dirnameForBundle } from 'node:path';
import { fileURLToPath as fileURLToPathForBundle } from 'node:url';
const require = createRequireForBundle(import.meta.url);
const __filename = fileURLToPathForBundle(import.meta.url);
const __dirname = dirnameForBundle(__filename);`;

/** Builds both programs into `folder/agent` and `folder/coordinator`, replacing what was there. */
export async function buildRelease(folder: string): Promise<void> {
  for (const workspace of Object.keys(PROGRAMS) as Workspace[]) {
    const target = path.join(folder, workspace);
    rmSync(target, { recursive: true, force: true });
    const metafile = await bundle(workspace, path.join(target, 'lib'));
    copyNativePackage(target);
    writeLauncher(workspace, target);
    writeManifest(workspace, target);
    cpSync(path.join(ROOT, 'LICENSE'), path.join(target, 'LICENSE'));
    const unit = path.join('systemd', `${PROGRAMS[workspace]}.service`);
    cpSync(path.join(ROOT, unit), path.join(target, unit));
    const packages = [...Object.keys(metafile.inputs), `node_modules/${NATIVE_PACKAGE}/lib`];
    if (workspace === 'coordinator') packages.push(...(await findWebInputs()));
    writeLicences(ROOT, packages, target);
  }
  const { buildAssets } = await import('../coordinator/src/web/assets/build-assets.ts');
  await buildAssets(path.join(folder, 'coordinator', 'lib', 'web-assets'));
}

async function bundle(workspace: Workspace, outdir: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [{ in: `${workspace}/src/main.ts`, out: 'main' }],
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node22.19',
    external: EXTERNAL,
    banner: { js: BANNER },
    legalComments: 'none', // They are in THIRD-PARTY-LICENCES.txt, whole.
    metafile: true,
    logLevel: 'error',
  });
  return metafile;
}

/** The files that the browser's modules are made of: their packages are carried inside the web assets. */
async function findWebInputs(): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: globSync('coordinator/src/web/browser/*.ts', { cwd: ROOT }).sort(),
    outdir: 'out', // Nothing is written there.
    write: false,
    bundle: true,
    format: 'esm',
    metafile: true,
    logLevel: 'error',
  });
  return Object.keys(metafile.inputs);
}

/** Copies the one package with native code: its JavaScript and its binaries for every system, not its sources. */
function copyNativePackage(target: string): void {
  const from = path.join(ROOT, 'node_modules', NATIVE_PACKAGE);
  const to = path.join(target, 'node_modules', NATIVE_PACKAGE);
  for (const part of ['package.json', 'LICENSE', 'lib', 'prebuilds'])
    cpSync(path.join(from, part), path.join(to, part), { recursive: true });
}

function writeLauncher(workspace: Workspace, target: string): void {
  const { engines } = readPackage('package.json');
  const [major = '', minor = ''] = engines.node.replace(/[^0-9.]/g, '').split('.');
  const name = PROGRAMS[workspace];
  const flags = V8_FLAGS[workspace];
  const setFlags = flags === undefined ? '' : `require('v8').setFlagsFromString('${flags}');\n`;
  // CommonJS in old words: a Node that is too old can still read it and say so.
  const launcher = `#!/usr/bin/env node
'use strict';
var version = process.versions.node.split('.').map(Number);
if (version[0] < ${major} || (version[0] === ${major} && version[1] < ${minor})) {
  console.error('${name} needs Node ${major}.${minor} or newer; this is ' + process.versions.node + '.');
  process.exit(2);
}
${setFlags}import('../lib/main.mjs');
`;
  const folder = path.join(target, 'bin');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, name), launcher);
  chmodSync(path.join(folder, name), 0o755);
}

function writeManifest(workspace: Workspace, target: string): void {
  const { name, version, license, description } = readPackage(`${workspace}/package.json`);
  const { engines } = readPackage('package.json');
  const program = PROGRAMS[workspace];
  const manifest = {
    name, // By it the program finds its own version.
    version,
    private: true,
    description,
    license,
    engines,
    bin: { [program]: `bin/${program}` },
  };
  writeFileSync(path.join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

interface PackageFile {
  name: string;
  version: string;
  license: string;
  description: string;
  engines: { node: string };
}

const readPackage = (file: string): PackageFile =>
  JSON.parse(readFileSync(path.join(ROOT, file), 'utf8')) as PackageFile;

if (process.argv[1] === import.meta.filename) {
  const folder = path.resolve(process.argv[2] ?? path.join(ROOT, 'dist', 'release'));
  await buildRelease(folder);
  for (const workspace of Object.keys(PROGRAMS) as Workspace[]) {
    const target = path.join(folder, workspace);
    const kilobytes = readdirSync(path.join(target, 'lib'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + readFileSync(path.join(entry.parentPath, entry.name)).length / 1000, 0);
    console.log(`${path.join(target, 'bin', PROGRAMS[workspace])}  (${kilobytes.toFixed(0)} kB of lib)`);
  }
}
