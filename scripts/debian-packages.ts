/**
 * Installs the Debian packages that test lanes need, where that is ours to do: on Debian (or what comes from it),
 * as root. Elsewhere it says why not, and the lane is skipped.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { missingNeeds } from './lanes.ts';

/** Why packages can not be installed here; null where they can. */
export function whyNoPackages(searchPath: string): string | null {
  if (!existsSync('/etc/debian_version')) return 'this is not Debian';
  const aptGet = { program: 'apt-get', debianPackage: 'apt' };
  if (missingNeeds([aptGet], searchPath).length > 0) return 'there is no apt-get';
  if (process.getuid?.() !== 0) return 'only root may install packages';
  return null;
}

/**
 * Installs packages, and returns null, or what apt-get said when it could not. The lists are fetched only when the
 * ones at hand did not do. Another apt-get that runs at the same time is waited for.
 */
export function installDebianPackages(packages: readonly string[]): string | null {
  console.log(`Installing what the tests need: apt-get install ${packages.join(' ')}`);
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  if (aptGet(install) === null) return null;
  return aptGet(['update']) ?? aptGet(install);
}

function aptGet(args: readonly string[]): string | null {
  const done = spawnSync('apt-get', ['-qq', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    encoding: 'utf8',
  });
  if (done.error) return done.error.message;
  return done.status === 0 ? null : `${done.stdout}${done.stderr}`.trim();
}
