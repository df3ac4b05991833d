/**
 * Fault scripts: what goes wrong, when, and how often. A script is a list of rules in JSON; README.md describes each
 * part with an example. With the same seed and the same calls the same things go wrong.
 */
import { Type, type Static } from 'typebox';
import Value from 'typebox/value';

const Strict = { additionalProperties: false };
const Text = Type.String({ minLength: 1 });
const Ms = Type.Number({ minimum: 0 });

/** When a rule is considered, and how often it takes effect. */
const Occasion = {
  /** Of the matching occasions, counted from 1: only these. */
  nth: Type.Optional(Type.Array(Type.Integer({ minimum: 1 }))),
  /** At most so often. */
  times: Type.Optional(Type.Integer({ minimum: 1 })),
  /** Each time with this chance. */
  probability: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** Only from, and only until, so long after the start. */
  fromMs: Type.Optional(Ms),
  untilMs: Type.Optional(Ms),
};

const RequestRule = Type.Object(
  {
    on: Type.Literal('request'),
    method: Type.Optional(Type.String()),
    /** With `*` for any part: `/nodes/pve1/qemu/9000/clone` or `*clone`. */
    path: Type.Optional(Text),
    ...Occasion,
    /** `after`: the call is carried out, and then answered like this. */
    when: Type.Optional(Type.Union([Type.Literal('before'), Type.Literal('after')])),
    delayMs: Type.Optional(Ms),
    answer: Type.Optional(
      Type.Object({ status: Type.Integer({ minimum: 400, maximum: 599 }), reason: Text }, Strict),
    ),
    /** The connection is cut without an answer. */
    cut: Type.Optional(Type.Literal(true)),
    /** Given instead of the data of a good answer. */
    data: Type.Optional(Type.Unknown()),
  },
  Strict,
);

const TaskRule = Type.Object(
  {
    on: Type.Literal('task'),
    type: Type.Optional(Text),
    node: Type.Optional(Text),
    id: Type.Optional(Text),
    ...Occasion,
    delayMs: Type.Optional(Ms),
    /** It fails in the middle, cleans up as it does, and says this. */
    fail: Type.Optional(Text),
    /** It does its work and says that it failed. */
    failAfter: Type.Optional(Text),
    /** The worker is gone before it did anything: locks and half-made VMs stay. */
    crash: Type.Optional(Type.Literal(true)),
    /** It never ends by itself. */
    hang: Type.Optional(Type.Literal(true)),
    warnings: Type.Optional(Type.Array(Text)),
  },
  Strict,
);

const BootRule = Type.Object(
  {
    on: Type.Literal('boot'),
    vmid: Type.Optional(Type.Integer()),
    /** With `*`. */
    name: Type.Optional(Text),
    ...Occasion,
    agent: Type.Optional(Type.Union([Type.Literal('missing'), Type.Literal('blocked')])),
    ssh: Type.Optional(Type.Literal('closed')),
    dhcp: Type.Optional(Type.Literal('silent')),
    cloudInit: Type.Optional(Type.Literal('broken')),
    ignoresPowerButton: Type.Optional(Type.Literal(true)),
    bootMs: Type.Optional(Ms),
    agentMs: Type.Optional(Ms),
    /** Names and addresses of cards that the agent tells of before the real one: docker0, tailscale0. */
    extraInterfaces: Type.Optional(Type.Record(Type.String(), Type.String())),
  },
  Strict,
);

const EventRule = Type.Object(
  {
    on: Type.Literal('time'),
    atMs: Ms,
    /** After so long it is as before. */
    forMs: Type.Optional(Ms),
    nodeDown: Type.Optional(Text),
    quorumLost: Type.Optional(Type.Literal(true)),
    /** Filled up to the last byte but these. */
    storageFull: Type.Optional(
      Type.Object({ storage: Text, leavesBytes: Type.Optional(Type.Integer({ minimum: 0 })) }, Strict),
    ),
    storageDisabled: Type.Optional(Text),
    renewCertificate: Type.Optional(Type.Literal(true)),
    /** A config lock as a crash leaves it, on a VM. */
    lockVm: Type.Optional(Type.Object({ vmid: Type.Integer(), lock: Text }, Strict)),
    /** Switched off from inside. */
    vmOff: Type.Optional(Type.Integer()),
  },
  Strict,
);

const ScriptSchema = Type.Object(
  { rules: Type.Array(Type.Union([RequestRule, TaskRule, BootRule, EventRule])) },
  Strict,
);

/** A whole script. */
export type FaultScript = Static<typeof ScriptSchema>;
export type RequestRule = Static<typeof RequestRule>;
export type TaskRule = Static<typeof TaskRule>;
export type BootRule = Static<typeof BootRule>;
export type EventRule = Static<typeof EventRule>;

const KINDS = { request: RequestRule, task: TaskRule, boot: BootRule, time: EventRule } as const;

/** Reads a script from parsed JSON. Throws an error that names the rule and what is wrong with it. */
export function parseFaultScript(json: unknown): FaultScript {
  if (Value.Check(ScriptSchema, json)) return json;
  const rules = (json as { rules?: unknown } | null)?.rules;
  if (!Array.isArray(rules)) throw new Error('A fault script is an object with a list "rules".');
  for (const [index, rule] of (rules as unknown[]).entries()) {
    const kind = (rule as { on?: unknown } | null)?.on;
    if (typeof kind !== 'string' || !(kind in KINDS)) {
      throw new Error(`Rule ${index + 1}: "on" must be one of ${Object.keys(KINDS).join(', ')}.`);
    }
    const [problem] = Value.Errors(KINDS[kind as keyof typeof KINDS], rule);
    if (problem !== undefined)
      throw new Error(`Rule ${index + 1} (on ${kind}): ${problem.instancePath || '/'} ${problem.message}.`);
  }
  throw new Error('A fault script has "rules" and nothing else.');
}
