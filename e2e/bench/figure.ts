/** What a benchmark measures: one figure with its target and the floor that it is held against, and the statistics. */

/** One measured number. */
export interface Figure {
  name: string;
  value: number;
  unit: 'ms' | 's' | '1/s' | 'MB' | 'kB' | '%' | '';
  /** What must be reached; null for figures that only explain others. */
  target: { atMost: number } | { atLeast: number } | null;
  /** The same thing at its simplest, measured in the same run; null where there is none. */
  floor: number | null;
  /** `value / floor`; null without a floor. */
  ratio: number | null;
}

/** A figure from its value and, where there are some, its target and floor. */
export function figure(
  name: string,
  unit: Figure['unit'],
  value: number,
  { target = null, floor = null }: { target?: Figure['target']; floor?: number | null } = {},
): Figure {
  return { name, unit, value, target, floor, ratio: floor === null ? null : value / floor };
}

/** Whether the target is reached; null where there is none. */
export function isReached({ value, target }: Figure): boolean | null {
  if (target === null) return null;
  return 'atMost' in target ? value <= target.atMost : value >= target.atLeast;
}

/** The value below which `fraction` of the samples lie (nearest rank). */
export function percentile(samples: readonly number[], fraction: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)];
  if (found === undefined) throw new Error('there are no samples');
  return found;
}

/** The middle of the samples. */
export const median = (samples: readonly number[]): number => percentile(samples, 0.5);

/** The figures as a table for a terminal. */
export function renderTable(figures: readonly Figure[]): string {
  const rows = figures.map((each) => [
    each.name,
    withUnit(each.value, each.unit),
    each.floor === null ? '' : withUnit(each.floor, each.unit),
    each.ratio === null ? '' : `${each.ratio.toFixed(2)} ×`,
    renderTarget(each),
    { true: 'reached', false: 'MISSED', null: '' }[String(isReached(each)) as 'true' | 'false' | 'null'],
  ]);
  const table = [['', 'measured', 'floor', 'ratio', 'target', ''], ...rows];
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map((row) => (row[column] ?? '').length))) ?? [];
  const line = (row: string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return table.map((row) => line(row).trimEnd()).join('\n');
}

function renderTarget({ target, unit }: Figure): string {
  if (target === null) return '';
  return 'atMost' in target ? `≤ ${withUnit(target.atMost, unit)}` : `≥ ${withUnit(target.atLeast, unit)}`;
}

function withUnit(value: number, unit: Figure['unit']): string {
  if (unit === '') return value.toLocaleString('en'); // A count.
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${unit}`;
}
