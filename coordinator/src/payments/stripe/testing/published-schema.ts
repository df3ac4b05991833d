/**
 * Holds the stand-in's requests and answers against Stripe's published OpenAPI description, where that lies beside the
 * repository. What is newer than that description is named here, one by one: there the library's types decide.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

const FILE = join(import.meta.dirname, '../../../../../../shared/vendor-apis/stripe-2023-09.json');

/** Events and versions that Stripe has added since: taken out of a request before it is checked. */
const NEWER_EVENTS = new Set(['refund.failed']);
/** Billing Meters came after it. */
const NEWER_OBJECTS = new Set(['billing.meter', 'billing.meter_event']);

interface Operation {
  requestBody?: { content: Record<string, { schema: object }> };
}
interface OpenApi {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, unknown> };
}

let loaded: PublishedSchema | null = null;

/** The description, read and compiled once for all stand-ins of a process. */
export function publishedSchema(): PublishedSchema {
  loaded ??= new PublishedSchema();
  return loaded;
}

/** What does not fit the description, as texts; nothing where it is not there. */
class PublishedSchema {
  readonly #api: OpenApi | null;
  readonly #compiled = new Map<string, ValidateFunction>();
  readonly #ajv = new Ajv({ strict: false, coerceTypes: true, validateFormats: false, allErrors: false });

  constructor() {
    this.#api = existsSync(FILE) ? (mendNullables(JSON.parse(readFileSync(FILE, 'utf8'))) as OpenApi) : null;
    if (this.#api !== null) this.#ajv.addSchema({ $id: 'stripe', components: this.#api.components });
  }

  get isThere(): boolean {
    return this.#api !== null;
  }

  /** Why Stripe of that time would not take this body, or null. */
  checkRequest(path: string, method: string, body: Record<string, unknown>): string | null {
    const content = this.#api?.paths[path]?.[method.toLowerCase()]?.requestBody?.content;
    const schema = content?.['application/x-www-form-urlencoded']?.schema;
    if (schema === undefined) return null;
    const asThen = structuredClone(body);
    if (Array.isArray(asThen['enabled_events']))
      asThen['enabled_events'] = asThen['enabled_events'].filter((event) => !NEWER_EVENTS.has(String(event)));
    delete asThen['api_version'];
    return this.#check(`${method} ${path}`, schema, asThen);
  }

  /** Why Stripe of that time would not answer with this object, or null. */
  checkObject(name: string, object: unknown): string | null {
    if (this.#api === null || NEWER_OBJECTS.has(name)) return null;
    return this.#check(
      `object ${name}`,
      { $ref: `stripe#/components/schemas/${name}` },
      structuredClone(object),
    );
  }

  #check(name: string, schema: object, value: unknown): string | null {
    let validate = this.#compiled.get(name);
    if (validate === undefined) {
      const text = JSON.stringify(schema);
      validate = this.#ajv.compile(
        JSON.parse(text.replaceAll('"#/components', '"stripe#/components')) as object,
      );
      this.#compiled.set(name, validate);
    }
    if (validate(value)) return null;
    return `${name}: ${this.#ajv.errorsText(validate.errors)}`;
  }
}

/** OpenAPI 3.0 says `nullable` beside `anyOf` and `$ref`, which JSON Schema does not know. */
function mendNullables(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(mendNullables);
  if (typeof value !== 'object' || value === null) return value;
  const mended = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mendNullables(inner)]));
  if (mended['nullable'] !== true) return mended;
  const { nullable: _nullable, ...rest } = mended;
  return { anyOf: [rest, { type: 'null' }] };
}
