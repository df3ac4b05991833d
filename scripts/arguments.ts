/**
 * Reads the arguments of `npm test`.
 */

/** Which lanes run, and what vitest gets in addition. */
export interface TestArguments {
  readonly laneNames: readonly string[];
  readonly vitestArguments: readonly string[];
}

/**
 * `--lane NAME` or `--lane=NAME` picks lanes; the rest is vitest's. With something for vitest and no lane named, only
 * the vitest lanes run. Throws on an unknown lane.
 */
export function parseArguments(
  argv: readonly string[],
  lanes: readonly ({ name: string } & ({ project: string } | { checks: unknown }))[],
): TestArguments {
  const picked: string[] = [];
  const vitestArguments: string[] = [];
  for (let i = 0; i < argv.length; i += 1) {
    const argument = argv[i] ?? '';
    if (argument !== '--lane' && !argument.startsWith('--lane=')) {
      vitestArguments.push(argument);
      continue;
    }
    const name = argument === '--lane' ? argv[++i] : argument.slice('--lane='.length);
    if (!lanes.some((lane) => lane.name === name)) {
      throw new Error(
        `There is no lane "${name ?? ''}"; the lanes are ${lanes.map((lane) => lane.name).join(', ')}.`,
      );
    }
    picked.push(name ?? '');
  }
  if (picked.length > 0) return { laneNames: picked, vitestArguments };
  const candidates = vitestArguments.length > 0 ? lanes.filter((lane) => 'project' in lane) : lanes;
  return { laneNames: candidates.map((lane) => lane.name), vitestArguments };
}
