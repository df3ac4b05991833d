import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { checkConfig, configError, renderProblems } from './check-config.ts';
import { closestWord } from './closest-word.ts';

const closed = { additionalProperties: false };
const Schema = Type.Object(
  {
    name: Type.String({ minLength: 1, description: 'who this is', examples: ['demo'] }),
    token: Type.Optional(Type.String({ minLength: 20, writeOnly: true })),
    listen: Type.Object(
      {
        host: Type.String({ default: '127.0.0.1' }),
        port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8787 }),
      },
      closed,
    ),
    level: Type.Enum(['debug', 'info'], { default: 'info' }),
    pools: Type.Array(
      Type.Object(
        { kind: Type.Union([Type.Literal('local'), Type.Literal('docker')]), cpu: Type.Integer() },
        closed,
      ),
      { default: [] },
    ),
    drivers: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z]+$' }), Type.Object({ slots: Type.Integer() }, closed)),
    ),
  },
  closed,
);
const file = '/etc/dc.toml';

describe('checkConfig', () => {
  it('fills in defaults, also those of tables that are not there', () => {
    const { value, problems } = checkConfig(Schema, { name: 'demo' }, { file });
    expect(problems).toEqual([]);
    expect(value).toEqual({
      name: 'demo',
      listen: { host: '127.0.0.1', port: 8787 },
      level: 'info',
      pools: [],
    });
  });

  it('gives every check its own defaults, so that changing one does not change the next', () => {
    checkConfig(Schema, { name: 'demo' }, { file }).value?.pools.push({ kind: 'local', cpu: 1 });
    expect(checkConfig(Schema, { name: 'demo' }, { file }).value?.pools).toEqual([]);
  });

  it('names all problems at once, each with what was found and expected, and an example', () => {
    const parsed = {
      listen: { port: 70_000, hsot: 'x' },
      level: 'loud',
      pools: [
        { kind: 'local', cpu: 1 },
        { kind: 'lokal', cpu: 1.5 },
      ],
      drivers: { local: { slots: 'many' }, 'Not ok': {} },
    };
    const { value, problems } = checkConfig(Schema, parsed, { file });
    expect(value).toBeNull();
    expect(problems.map(({ key, found, expected, example }) => ({ key, found, expected, example }))).toEqual([
      {
        key: 'name',
        found: null,
        expected: 'a text that is not empty (who this is)',
        example: 'name = "demo"',
      },
      {
        key: 'listen.port',
        found: '70000',
        expected: 'an integer from 0 to 65535',
        example: '[listen]\nport = 8787',
      },
      {
        key: 'listen.hsot',
        found: 'hsot',
        expected: 'no such setting; did you mean listen.host?',
        example: null,
      },
      { key: 'level', found: '"loud"', expected: 'one of "debug", "info"', example: 'level = "info"' },
      {
        key: 'pools[1].kind',
        found: '"lokal"',
        expected: 'one of "local", "docker"',
        example: '[[pools]]\nkind = "local"',
      },
      { key: 'pools[1].cpu', found: '1.5', expected: 'an integer', example: '[[pools]]\ncpu = 1' },
      {
        key: 'drivers.local.slots',
        found: '"many"',
        expected: 'an integer',
        example: '[drivers.local]\nslots = 1',
      },
      {
        key: 'drivers."Not ok"',
        found: '"Not ok"',
        expected: 'no such setting',
        example: null,
      },
    ]);
  });

  it('says of a value that should be a table, or of a file that is none, what it is', () => {
    expect(checkConfig(Schema, { name: 'x', listen: 'here' }, { file }).problems[0]).toMatchObject({
      key: 'listen',
      expected: 'a table',
    });
    expect(checkConfig(Schema, { name: 'x', pools: ['a'] }, { file }).problems[0]).toMatchObject({
      key: 'pools',
      found: '["a"]',
      expected: 'a list',
    });
    expect(checkConfig(Schema, 7, { file }).problems[0]).toMatchObject({ key: '', found: '7' });
  });

  it('is not fooled by names that every object has', () => {
    const parsed = JSON.parse('{"name": "x", "constructor": 1, "__proto__": {"level": "debug"}}') as unknown;
    const keys = checkConfig(Schema, parsed, { file }).problems.map(({ key }) => key);
    expect(keys).toEqual(['constructor', '__proto__']);
  });

  it('never shows the value of a secret', () => {
    const checked = checkConfig(Schema, { name: 'x', token: 'hunter2' }, { file });
    expect(checked.problems[0]?.found).toBe('(hidden)');
    expect(JSON.stringify(checked)).not.toContain('hunter2');
  });

  it('becomes one CONFIG_INVALID that a person can read', () => {
    const { problems } = checkConfig(Schema, { nam: 'x', listen: { port: '80' } }, { file });
    const error = configError(problems);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.fields.map(({ pointer }) => pointer)).toEqual(['/name', '/listen/port', '/nam']);
    expect(renderProblems(problems.slice(1))).toBe(
      [
        '/etc/dc.toml has 2 problems:',
        '',
        '  listen.port',
        '    found     "80"',
        '    expected  an integer from 0 to 65535',
        '    example   [listen]',
        '              port = 8787',
        '',
        '  nam',
        '    found     nam',
        '    expected  no such setting; did you mean name?',
      ].join('\n'),
    );
  });
});

describe('closestWord', () => {
  const known = ['port', 'host', 'heartbeat_interval_ms', 'public_url'];
  it.each([
    ['prot', 'port'],
    ['Host', 'host'],
    ['heartbeat_intervall_ms', 'heartbeat_interval_ms'],
    ['publicurl', 'public_url'],
    ['colour', null],
    ['', null],
  ])('for %j it is %j', (typed, word) => {
    expect(closestWord(typed, known)).toBe(word);
  });
});
