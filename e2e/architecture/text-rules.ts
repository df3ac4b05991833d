/**
 * Rules about any text in the repository, whatever its language: what no line may say.
 */

/** A text file: its path from the repository's root, and what it says. */
export interface TextFile {
  readonly path: string;
  readonly text: string;
}

interface TextBan {
  readonly pattern: RegExp;
  readonly message: string;
  /** Which files it is about. */
  readonly files: RegExp;
}

const ANY = /./;

const TEXT_BANS: readonly TextBan[] = [
  {
    pattern: /(?<![\w.$}*-])\/(work|root|Users)\/[\w.]|bash_jobs/,
    message: 'names a path of one machine',
    files: ANY,
  },
  {
    pattern: /registry\.(npmjs|yarnpkg|npmmirror)|unpkg\.com|"resolved": "http/,
    message: 'names a package registry: npm is told that by its own settings',
    files: ANY,
  },
  {
    pattern: /StrictHostKeyChecking[= "',]+(no|off)\b|UserKnownHostsFile[= "',]+\/dev\/null/,
    message: 'lets ssh talk to whatever host answers (I15)',
    files: ANY,
  },
  {
    pattern: /\bcurl\b.* (-k|--insecure)\b|--no-check-certificate|NODE_TLS_REJECT_UNAUTHORIZED/,
    message: 'turns TLS verification off (I15)',
    files: ANY,
  },
  {
    pattern: /\b(TODO|FIXME|XXX)\b(?!\(#\d+\))/,
    message: 'has a TODO without the number of its issue, as in TODO(#12)',
    files: /\.(ts|mjs|js|css|sh)$/,
  },
];

/** Where the bans themselves are written down and proven. */
const SPEAKS_OF_BANS = /^e2e\/architecture|^scripts\/eslint-bans/;

/** One line for each line of text that says what none may. */
export function textViolations(files: readonly TextFile[]): string[] {
  return files
    .filter(({ path }) => !SPEAKS_OF_BANS.test(path))
    .flatMap(({ path, text }) => {
      const bans = TEXT_BANS.filter(({ pattern, files: of }) => of.test(path) && pattern.test(text));
      return bans.flatMap(({ pattern, message }) =>
        text
          .split('\n')
          .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1}: ${message}`] : [])),
      );
    });
}
