/** Stripe's form bodies: `line_items[0][price_data][currency]=usd` as a nested object of texts. */

/** What a body says. Lists come as `name[0]`, objects as `name[key]`. */
export function parseFormBody(text: string): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const path = [...name.matchAll(/^[^[\]]+|\[([^[\]]*)\]/g)].map(([whole, inner]) => inner ?? whole);
    set(root, path, value);
  }
  return root;
}

function set(target: Record<string, unknown> | unknown[], path: readonly string[], value: string): void {
  const [head = '', ...rest] = path;
  const slot = target as Record<string, unknown>;
  const key = Array.isArray(target) && head === '' ? String(target.length) : head;
  if (rest.length === 0) {
    slot[key] = value;
    return;
  }
  const isList = /^\d*$/.test(rest[0] ?? '');
  slot[key] ??= isList ? [] : {};
  set(slot[key] as Record<string, unknown>, rest, value);
}
