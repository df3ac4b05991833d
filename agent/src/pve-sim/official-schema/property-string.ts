/** Property strings, as `virtio=BC:24:11:…,bridge=vmbr0`: several settings in one text. Pure. */
import type { Schema } from './check-value.ts';

/** The settings, and what could not be read. */
export interface PropertyString {
  readonly values: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
}

/** Reads one. A part without `=` is the value of the default key; an alias stands for another key. */
export function parsePropertyString(
  properties: Readonly<Record<string, Schema>>,
  text: string,
): PropertyString {
  const values: Record<string, string> = {};
  const problems: string[] = [];
  const set = (key: string, value: string): void => {
    if (key in values) problems.push(`has ${key} twice`);
    values[key] = value;
  };
  const defaultKey = Object.entries(properties).find(([, property]) => property.default_key === 1)?.[0];
  for (const part of text.split(',').filter((each) => each.trim() !== '')) {
    const at = part.indexOf('=');
    const name = at < 0 ? '' : part.slice(0, at);
    const aliased = properties[name];
    if (at < 0 && properties[part]?.keyAlias !== undefined) set(properties[part].keyAlias, part);
    else if (at < 0 && defaultKey !== undefined) set(defaultKey, part);
    else if (at < 0) problems.push(`has ${part}, which is no key=value`);
    else if (aliased?.alias !== undefined) {
      set(aliased.alias, part.slice(at + 1));
      if (aliased.keyAlias !== undefined) set(aliased.keyAlias, name);
    } else set(name, part.slice(at + 1));
  }
  return { values, problems };
}
