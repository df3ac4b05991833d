/**
 * HTML as tagged templates in which every value is escaped unless it is itself HTML made here. Runs in the browser
 * too, so that the server and the page's own modules render with the same lines.
 */

const MAKER = Symbol('html');

/** Markup that is safe to send. Only the `html` tag makes it. */
export class Html {
  readonly #text: string;

  constructor(text: string, maker: symbol) {
    if (maker !== MAKER) throw new Error('only the html tag makes Html');
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What may stand in a template: `null`, `undefined` and `false` render as nothing, arrays item by item. */
export type HtmlValue = Html | string | number | bigint | false | null | undefined | readonly HtmlValue[];

/** Where a value stands: in text, in a quoted attribute, or between the attributes of a tag. */
type Place = 'text' | 'quoted' | 'tag';

const placesOf = new WeakMap<TemplateStringsArray, readonly Place[]>();

/**
 * Renders a template. Values are escaped, which is safe in text and in quoted attributes; between attributes only
 * Html may stand. A template with a value where escaping does not help (an unquoted attribute, a tag's name, an
 * event handler, a script, a style, a comment) throws when it first runs.
 */
export function html(strings: TemplateStringsArray, ...values: HtmlValue[]): Html {
  let places = placesOf.get(strings);
  if (places === undefined) {
    places = findPlaces(strings);
    placesOf.set(strings, places);
  }
  let text = strings[0] ?? '';
  for (const [index, value] of values.entries()) {
    if (places[index] === 'tag' && typeof value !== 'object' && value !== false && value !== undefined) {
      throw new Error('between attributes only Html may stand');
    }
    text += render(value) + (strings[index + 1] ?? '');
  }
  return new Html(text, MAKER);
}

/** `text` with the five characters that mean something in HTML replaced. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** `url` when it is an http(s) address, else null: other schemes run code when they are clicked. */
export function httpUrl(url: string | null): string | null {
  return url !== null && /^https?:\/\/\S+$/i.test(url) ? url : null;
}

function render(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (value instanceof Html) return value.toString();
  if (typeof value === 'object') return value.map(render).join('');
  return escapeHtml(String(value));
}

/** Walks the literal parts like a parser and says where each value stands. Throws for an unsafe place. */
function findPlaces(strings: readonly string[]): Place[] {
  const places: Place[] = [];
  let seen = '';
  let place: Place = 'text';
  for (const string of strings.slice(0, -1)) {
    for (const character of string) {
      seen += character;
      if (place === 'text' && character === '<') place = 'tag';
      else if (place === 'tag' && character === '>') place = 'text';
      else if (character === '"' && place !== 'text') place = place === 'tag' ? 'quoted' : 'tag';
    }
    const isUnsafe =
      (place === 'tag' && /(=\s*|<[^\s"]*)$/.test(seen)) ||
      (place === 'quoted' && /\s(on[a-z]+|style|srcdoc)="[^"]*$/i.test(seen)) ||
      (place === 'text' && /<(script|style)\b((?!<\/).)*$/is.test(seen)) ||
      /<!--((?!-->).)*$/s.test(seen);
    if (isUnsafe) throw new Error(`a value may not stand here: ${seen.slice(-60)}`);
    places.push(place);
    seen += '\0'; // Stands for the value.
  }
  return places;
}
