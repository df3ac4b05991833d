/** Text for people: aligned columns, and colour only where a person looks. Pure. */

const COLOURS = { red: 31, green: 32, yellow: 33, dim: 2 } as const;

/** Colours a text, or leaves it as it is. */
export type Paint = (colour: keyof typeof COLOURS, text: string) => string;

/** Colours on a terminal, none elsewhere. */
export function painter(usesColour: boolean): Paint {
  return (colour, text) => (usesColour ? `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : text);
}

/** Lines of cells, as wide as their widest; the last column is not padded. */
export function renderTable(rows: readonly (readonly string[])[], indent = ''): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows.map((row) =>
    (
      indent +
      row
        .map((cell, column) => (column < row.length - 1 ? cell.padEnd(widths[column] ?? 0) : cell))
        .join('  ')
    ).trimEnd(),
  );
}

/** A duration as people say it: `5 s`, `3 min`, `2 h`, `4 d`. */
export function renderDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}
