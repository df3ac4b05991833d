/** The socket between the operator's commands and the running agent, with everything that can go wrong on it. */
import { existsSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { AppError } from '@dc/shared/errors';
import { ManualClock } from '@dc/shared/testing/manual-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SILENT } from '../lib/log.ts';
import { tempDirs } from '../testing/temp-dir.ts';
import { askAgent } from './ask-agent.ts';
import type { ControlRequest } from './control-request.ts';
import { ControlServer, type ControlParts } from './control-server.ts';

const makeDir = tempDirs();
const clock = new ManualClock();
const CONFIRM: ControlRequest = { command: 'confirm', saga_ids: ['s1', 's2'] };
let path: string;
let server: ControlServer | null = null;
let warnings: string[] = [];

beforeEach(async () => {
  path = join(await makeDir(), 'control.sock');
  warnings = [];
});
afterEach(async () => {
  await server?.close();
  server = null;
  expect(clock.timerCount).toBe(0);
});

async function listen(handle: ControlParts['handle']): Promise<void> {
  const log = { ...SILENT, warn: (_fields: object, message: string) => void warnings.push(message) };
  server = await ControlServer.open({ path, clock, log, handle });
}

/** Writes something raw; resolves with what came back when the other side has closed. */
function send(text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = createConnection(path, () => socket.write(text));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('error', () => undefined); // The other side may close while we write; 'close' follows.
    socket.on('close', () => resolve(answer));
  });
}

describe('The control socket', () => {
  it('carries a request and its answer, and lets in nobody but its user', async () => {
    const seen: ControlRequest[] = [];
    await listen(async (request) => seen.push(request));
    expect(await askAgent(path, CONFIRM, clock)).toBe(1);
    expect(await askAgent(path, { command: 'destroy_orphan', id: 'x' }, clock)).toBe(2);
    expect(seen).toEqual([CONFIRM, { command: 'destroy_orphan', id: 'x' }]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('carries why it was refused', async () => {
    await listen(() => Promise.reject(new AppError('ORPHAN_HAS_ORDER', 'There is one by now.')));
    await expect(askAgent(path, CONFIRM, clock)).rejects.toMatchObject({
      code: 'ORPHAN_HAS_ORDER',
      message: 'There is one by now.',
    });
  });

  it('says of a bug only that it is one', async () => {
    await listen(() => Promise.reject(new Error('secret')));
    await expect(askAgent(path, CONFIRM, clock)).rejects.toMatchObject({ code: 'INTERNAL_BUG' });
    expect(warnings).toEqual(['control.failed']);
  });

  it.each([
    ['what is not JSON', 'hello\n'],
    ['another command', '{"command":"destroy_everything"}\n'],
    ['another form', '{"command":"confirm","saga_ids":["s1"],"all":true}\n'],
  ])('refuses %s', async (_what, text) => {
    await listen(() => Promise.reject(new Error('must not be called')));
    expect(JSON.parse(await send(text))).toMatchObject({ error: { code: 'REQUEST_INVALID' } });
  });

  it('hangs up on a request without an end', async () => {
    await listen(() => Promise.reject(new Error('must not be called')));
    expect(await send('x'.repeat(1_100_000))).toBe('');
  });

  it('hangs up on somebody who says nothing', async () => {
    await listen(() => Promise.reject(new Error('must not be called')));
    const silent = send('');
    await expect.poll(() => clock.timerCount).toBe(1);
    await clock.advance(10_000);
    expect(await silent).toBe('');
  });

  it('answers what it has begun before it closes', async () => {
    const done = Promise.withResolvers<number>();
    const begun = Promise.withResolvers<null>();
    await listen(() => {
      begun.resolve(null);
      return done.promise;
    });
    const asked = askAgent(path, CONFIRM, clock);
    await begun.promise;
    const closing = server?.close();
    done.resolve(7);
    expect(await asked).toBe(7);
    await closing;
  });

  it('is nobody where no agent runs, or a dead one left its socket behind', async () => {
    expect(await askAgent(path, CONFIRM, clock)).toBeNull();
    await writeFile(path, '');
    expect(await askAgent(path, CONFIRM, clock)).toBeNull();
    await listen(() => Promise.resolve(3));
    expect(await askAgent(path, CONFIRM, clock)).toBe(3);
    await server?.close();
    expect(existsSync(path)).toBe(false);
  });

  it('does not keep an agent from running where it cannot be made', async () => {
    path = join(path, 'x'.repeat(200));
    await listen(() => Promise.resolve(0));
    expect([server, warnings]).toEqual([null, ['control.closed']]);
  });
});
