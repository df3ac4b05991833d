import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/system-clock.ts';
import { HostCommandServer } from '../../pve-sim/cli-tools/host-command-server.ts';
import { openRootSession } from '../../pve-sim/cli-tools/open-root-session.ts';
import { TestSigner } from './testing/image-server.ts';
import { ProxmoxSetup } from './testing/proxmox-setup.ts';
import { runPlain, TerminalSession } from './testing/terminal-session.ts';

const ENTER = '\r';
const TIMEOUT_MS = 120_000;

let signer: TestSigner;
let made: ProxmoxSetup;
let tools: HostCommandServer;
let session: ReturnType<typeof openRootSession>;
let env: Record<string, string>;
let token: string;

beforeAll(async () => {
  signer = new TestSigner('A distribution');
  made = await ProxmoxSetup.make(signer);
  const folder = join(made.folder, 'bin');
  await mkdir(folder);
  session = openRootSession(made.simulator, systemClock);
  tools = await HostCommandServer.start(folder, session, 'pve1');
  env = { PATH: `${folder}:/usr/bin:/bin`, HOME: made.folder };
  const images = made.images.images.filter(({ system }) => system === 'debian-12');
  await writeFile(join(made.folder, 'images.json'), JSON.stringify(images));
  token = made.coordinator.grant();
});
afterAll(async () => {
  await tools.close();
  await session.close();
  await made.dispose();
  signer.dispose();
});

/** What is said by flags in every run here: where the test's own things are. */
const places = (): string[] => [
  ...['setup', 'proxmox', '--no-service', '--images', join(made.folder, 'images.json')],
  ...['--api-url', made.simulator.url, '--guest-networks', '127.64.0.0/10', '--guest-ssh-port', '2222'],
  ...['--output', made.output, '--state-dir', made.settings.stateDir],
];

/** Every question with what is typed, in order. The preset is taken where there is one. */
const dialogue = (): [question: string, keys: string][] => [
  ['Which nodes may hold', ENTER],
  ['Which storage', ENTER],
  ['Which bridge', ENTER],
  ['Where do their addresses', ENTER],
  ['Which operating systems', ENTER],
  ['Which VMIDs', ENTER],
  ['coordinator’s address?', `${made.coordinator.url}${ENTER}`],
  ['Setup token', `${token}${ENTER}`],
  ['Go on?', ENTER],
];

describe('the wizard on a terminal', () => {
  it(
    'goes on where it was killed, at every question, and writes the file that flags write',
    async () => {
      const asked: string[] = [];
      for (let answered = 0; answered < dialogue().length; answered++) {
        const terminal = new TerminalSession(places(), env);
        // What is not kept is asked again: the token, and whether to go on.
        const questions = dialogue().slice(Math.min(answered, 7), answered + 1);
        for (const [index, [question, keys]] of questions.entries()) {
          await terminal.sees(question);
          if (index < questions.length - 1) terminal.types(keys);
        }
        asked.push(questions.at(-1)![0]);
        // The answer to the last one counts: it is typed, and the next question is there when it is killed.
        const [, keys] = questions.at(-1)!;
        const next = dialogue()[answered + 1]?.[0];
        if (next === undefined) {
          terminal.types(keys);
          await terminal.sees('This machine is an agent now.');
          expect(await terminal.ended()).toBe(0);
          expect(terminal.text).not.toContain(token);
        } else {
          terminal.types(keys);
          await terminal.sees(next);
          await terminal.kill();
        }
      }
      expect(asked).toEqual(dialogue().map(([question]) => question));
      const byQuestions = made.config;
      expect(made.coordinator.registrations).toHaveLength(1);

      for (const folder of [join(made.folder, 'etc'), made.settings.stateDir])
        await rm(folder, { recursive: true });
      const flags = Object.entries({
        ...made.flags(),
        vmids: '20000-29999',
        token: made.coordinator.grant(),
      });
      const { code, out } = await runPlain(
        [...places(), ...flags.flatMap(([name, value]) => [`--${name}`, value])],
        env,
      );
      expect([code, out]).toEqual([0, expect.stringContaining('proof of absence')]);
      expect(made.config).toBe(byQuestions);
    },
    TIMEOUT_MS,
  );

  it(
    'changes nothing when it is run once more, and asks nothing',
    async () => {
      const before = made.config;
      tools.commands.splice(0);
      const { code } = await runPlain([...places(), '--no-test'], env);
      expect([code, made.config]).toEqual([0, before]);
      expect(tools.commands.filter((line) => !/^pvesh get/.test(line))).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
