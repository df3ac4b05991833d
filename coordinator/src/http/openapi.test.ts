import { statusOf } from '@dc/shared/errors';
import { beforeEach, describe, expect, it } from 'vitest';
import { startTestCoordinator, type TestCoordinator } from '../testing/test-coordinator.ts';
import { errorsOf } from './common-errors.ts';

interface Operation {
  operationId: string;
  summary: string;
  description: string;
  'x-permission': string[];
  parameters: { name: string; in: string; required: boolean; schema: object }[];
  requestBody?: object;
  responses: Record<string, { description: string; content?: object; 'x-codes'?: string[] }>;
  security: object[];
}

interface Document {
  openapi: string;
  info: object;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: object };
}

let coordinator: TestCoordinator;
let text: string;
let document: Document;
beforeEach(async () => {
  coordinator = await startTestCoordinator({ startsWork: false });
  const answer = await coordinator.client.get('/openapi.json');
  text = answer.text;
  document = answer.body as unknown as Document;
});

const operations = (): [string, Operation][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method} ${path}`,
      operation,
    ]),
  );

describe('GET /api/v1/openapi.json', () => {
  it('is OpenAPI 3.1 and describes every route of the API, itself included', () => {
    expect(document.openapi).toBe('3.1.0');
    const described = new Set(operations().map(([name]) => name));
    const wanted = coordinator.routes.filter(
      ({ url }) => url.startsWith('/api/') || url.startsWith('/health/'),
    );
    for (const { method, url } of wanted)
      expect(described).toContain(`${method.toLowerCase()} ${url.replaceAll(/:([a-z_]+)/g, '{$1}')}`);
    expect(described).toContain('get /api/v1/openapi.json');
    expect(document.paths['/']).toBeUndefined();
  });

  it('has no reference that leads nowhere', () => {
    for (const [, pointer = ''] of text.matchAll(/"\$ref":"#([^"]*)"/g)) {
      const target = pointer
        .split('/')
        .slice(1)
        .reduce<unknown>((node, name) => (node as Record<string, unknown> | undefined)?.[name], document);
      expect(target, pointer).toBeDefined();
    }
    expect(text).not.toMatch(/"\$ref":"[^#]/);
  });

  it('names for every operation who may call it', () => {
    for (const [name, operation] of operations()) {
      expect(operation['x-permission'].length, name).toBeGreaterThan(0);
      for (const permission of operation['x-permission']) expect(operation.description).toContain(permission);
      const isPublic = operation['x-permission'].includes('public');
      expect(operation.security.some((scheme) => Object.keys(scheme).length === 0)).toBe(isPublic);
    }
  });

  it('gives every operation a name of its own, a summary, its parameters and its answer', () => {
    const names = operations().map(([, { operationId }]) => operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const [name, { summary, parameters, responses }] of operations()) {
      expect(summary, name).not.toBe('');
      const inPath = [...name.matchAll(/\{([a-z_]+)\}/g)].map(([, parameter]) => parameter);
      expect(
        parameters
          .filter((parameter) => parameter.in === 'path')
          .map((parameter) => parameter.name)
          .sort(),
      ).toEqual(inPath.sort());
      expect(parameters.every((parameter) => parameter.in !== 'path' || parameter.required)).toBe(true);
      expect(
        Object.keys(responses).some((status) => status.startsWith('2')),
        name,
      ).toBe(true);
      for (const response of Object.values(responses)) expect(response.description).not.toBe('');
    }
  });

  it('lists the codes of every error status', () => {
    const route = coordinator.routes.find(
      ({ method, url }) => method === 'POST' && url === '/api/v1/accounts',
    );
    const operation = document.paths['/api/v1/accounts']?.['post'];
    if (route === undefined || operation === undefined) throw new Error('the route is not there');
    const listed = Object.values(operation.responses).flatMap((response) => response['x-codes'] ?? []);
    expect(listed.sort()).toEqual(errorsOf(route).sort());
    for (const [status, response] of Object.entries(operation.responses))
      for (const code of response['x-codes'] ?? [])
        expect(statusOf(code as 'ACCOUNT_EXISTS')).toBe(Number(status));
    expect(operation.parameters).toContainEqual(
      expect.objectContaining({ name: 'Idempotency-Key', in: 'header' }),
    );
  });

  it('says which bodies may be left out', () => {
    const isRequired = (path: string): unknown =>
      (document.paths[`/api/v1${path}`]?.['post']?.requestBody as { required?: unknown }).required;
    expect(isRequired('/contracts/{id}/cancel')).toBe(false);
    expect(isRequired('/contracts')).toBe(true);
  });

  it('says which streams can be resumed, and with what they begin then', () => {
    const resumed = operations().filter(([, { parameters }]) =>
      parameters.some(({ name, in: place }) => name === 'Last-Event-ID' && place === 'header'),
    );
    expect(resumed.map(([name]) => name)).toEqual(['get /api/v1/contracts/{id}/events']);
    expect(JSON.stringify(resumed)).toContain('timeline');
  });

  it('is fetched once while it stays the same', async () => {
    const { headers } = await coordinator.client.get('/openapi.json');
    const again = await coordinator.client.get('/openapi.json', {
      headers: { 'if-none-match': String(headers['etag']) },
    });
    expect(again).toMatchObject({ status: 304, text: '' });
  });
});
