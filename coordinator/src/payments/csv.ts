/** CSV for spreadsheets: pure. */

/** A field in quotes where it needs them. What a spreadsheet would take for a formula is kept from being one. */
export function csvField(text: string): string {
  const safe = /^[=+@\t\r]|^-(?![0-9])/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A line, with its line break. */
export const csvLine = (fields: readonly (string | number | bigint | null)[]): string =>
  `${fields.map((field) => csvField(field === null ? '' : String(field))).join(',')}\n`;
