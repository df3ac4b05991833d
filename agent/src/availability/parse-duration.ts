/** PURE: durations as people type them. */

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `90m`, `2h` or `1h30m` in milliseconds; null for what is none, or is nothing. */
export function parseDuration(text: string): number | null {
  if (!/^(?:\d{1,6}[smhd])+$/.test(text)) return null;
  const parts = text.matchAll(/(\d+)([smhd])/g);
  const ms = [...parts].reduce(
    (sum, [, count, unit]) => sum + Number(count) * (UNITS_MS[unit ?? ''] ?? 0),
    0,
  );
  return ms > 0 ? ms : null;
}
