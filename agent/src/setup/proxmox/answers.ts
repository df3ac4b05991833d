/**
 * What set-up has to know. An answer comes from a flag, from an earlier run, from a question, or is the only one that
 * is possible; each is checked against what the host says, whoever gave it. Answers are texts, lists with commas.
 */
import { isIPv4 } from 'node:net';
import { AppError } from '@dc/shared/errors';
import { problemsOfProxmoxOptions } from '../../provisioners/proxmox/proxmox-options.ts';
import type { CloudImage } from './image-catalogue.ts';
import type { HostFacts } from './host-facts.ts';

/** What the answers are held against. */
export interface SetupFacts extends HostFacts {
  readonly images: readonly CloudImage[];
}

/** One of several things to choose. */
export interface Choice {
  readonly value: string;
  readonly hint: string;
}

/** One thing to know. Pure: `ask-answers.ts` asks. */
export interface Question {
  readonly id: AnswerId;
  readonly message: string;
  readonly kind: 'text' | 'one' | 'several';
  /** For `one` and `several`. */
  choices(facts: SetupFacts, known: KnownAnswers): Choice[];
  /** What stands there before anything is typed, and what counts where nobody can be asked. Null: somebody must say. */
  preset(facts: SetupFacts, known: KnownAnswers): string | null;
  /** What is wrong with an answer; undefined: nothing. */
  problem(value: string, facts: SetupFacts, known: KnownAnswers): string | undefined;
}

/** What an answer is about; its flag has the same name. */
export type AnswerId = 'nodes' | 'storage' | 'bridge' | 'addresses' | 'systems' | 'vmids' | 'coordinator';
/** Answers so far. */
export type KnownAnswers = Partial<Record<AnswerId, string>>;

/** Room for an image and its disk, several times over. */
const STORAGE_BYTES_MIN = 20 * 1024 ** 3;
/** Kinds on which a clone is made in a second, whatever the format of the disk. They are offered first. */
const LINKING = new Set(['lvmthin', 'zfspool', 'rbd']);
/** For the driver's own look at the range. */
const DRAFT = {
  url: 'https://127.0.0.1:8006',
  token_file: '-',
  certificate_file: '-',
  vmid_first: 100,
  vmid_last: 100,
};
const VMIDS_PRESET = '20000-29999';
const VMIDS_MIN = 10;

/** The parts of an answer that is a list. */
export const listOf = (value: string): string[] => value.split(',').filter((each) => each !== '');

/** `20000-29999`; null where it is no range. */
export function parseVmids(text: string): { first: number; last: number } | null {
  const match = /^\s*(\d{3,9})\s*-\s*(\d{3,9})\s*$/.exec(text);
  if (match === null) return null;
  const [first, last] = [Number(match[1]), Number(match[2])];
  return first >= 100 && last - first + 1 >= VMIDS_MIN ? { first, last } : null;
}

/** A range of addresses with its network and gateway. */
export interface AddressRange {
  readonly first: string;
  readonly last: string;
  readonly prefix: number;
  readonly gateway: string;
}

/** `192.0.2.10-192.0.2.99/24,192.0.2.1`; null for `dhcp`, undefined where it is neither. */
export function parseAddresses(text: string): AddressRange | null | undefined {
  if (text.trim() === 'dhcp') return null;
  const match = /^\s*([0-9.]+)\s*-\s*([0-9.]+)\/(\d{1,2})\s*,\s*([0-9.]+)\s*$/.exec(text);
  const [, first = '', last = '', prefix = '', gateway = ''] = match ?? [];
  const range = { first, last, prefix: Number(prefix), gateway };
  const isRange = [first, last, gateway].every(isIPv4) && range.prefix >= 8 && range.prefix <= 31;
  return isRange ? range : undefined;
}

const gib = (bytes: number): string => `${Math.floor(bytes / 1024 ** 3).toLocaleString('en')} GiB free`;

/** Things of the chosen nodes that each of them has. */
function onEveryNode<T>(
  { nodes = '' }: KnownAnswers,
  { of }: HostFacts,
  listOn: (node: string) => readonly T[],
  nameOf: (thing: T) => string,
): T[] {
  const lists = listOf(nodes).map((node) => (of.has(node) ? listOn(node) : []));
  const [first = [], ...others] = lists;
  return first.filter((thing) =>
    others.every((list) => list.some((other) => nameOf(other) === nameOf(thing))),
  );
}

const storageChoices = (facts: HostFacts, known: KnownAnswers): Choice[] =>
  onEveryNode(
    known,
    facts,
    (node) => facts.of.get(node)?.storages ?? [],
    ({ storage }) => storage,
  )
    .filter(({ content }) => content.includes('images'))
    .sort(
      (one, other) =>
        Number(LINKING.has(other.type)) - Number(LINKING.has(one.type)) ||
        other.availableBytes - one.availableBytes,
    )
    .map(({ storage, type, availableBytes }) => ({
      value: storage,
      hint: `${type}, ${gib(availableBytes)}`,
    }));

const bridgeChoices = (facts: HostFacts, known: KnownAnswers): Choice[] =>
  onEveryNode(
    known,
    facts,
    (node) => facts.of.get(node)?.bridges ?? [],
    ({ name }) => name,
  ).map(({ name, about }) => ({ value: name, hint: about }));

const nodeChoices = ({ nodes }: HostFacts): Choice[] =>
  nodes
    .filter(({ isOnline }) => isOnline)
    .map(({ name, isLocal }) => ({ value: name, hint: isLocal ? 'this one' : '' }));

const systemChoices = ({ images }: SetupFacts): Choice[] =>
  images.map(({ system, title, vouchedBy }) => ({ value: system, hint: `${title}; ${vouchedBy}` }));

/** Says which of the things that were named are none of those that there are. */
function notAmong(value: string, choices: readonly Choice[], what: string): string | undefined {
  const names = listOf(value);
  const unknown = names.filter((name) => !choices.some((choice) => choice.value === name));
  if (names.length === 0) return `choose at least one ${what}`;
  if (unknown.length === 0) return undefined;
  const there = choices.map((choice) => choice.value).join(', ');
  return `there is no ${what} ${unknown.join(', ')} on every chosen node; there is ${there === '' ? 'none at all' : there}`;
}

const only = (choices: readonly Choice[]): string | null =>
  choices.length === 1 ? (choices[0]?.value ?? null) : null;
const none = (): Choice[] => [];

/** In the order in which they are asked: each may build on those before it. */
export const QUESTIONS: readonly Question[] = [
  {
    id: 'nodes',
    message: 'Which nodes may hold renters’ instances?',
    kind: 'several',
    choices: nodeChoices,
    preset: (facts) =>
      nodeChoices(facts)
        .map(({ value }) => value)
        .join(','),
    problem: (value, facts) => notAmong(value, nodeChoices(facts), 'node that is online'),
  },
  {
    id: 'storage',
    message: 'Which storage do their disks go on?',
    kind: 'one',
    choices: storageChoices,
    preset: (facts, known) => only(storageChoices(facts, known)),
    problem(value, facts, known) {
      const missing = notAmong(value, storageChoices(facts, known), 'storage for disks');
      if (missing !== undefined) return missing;
      const tight = listOf(known.nodes ?? '').find((node) =>
        facts.of
          .get(node)
          ?.storages.some((each) => each.storage === value && each.availableBytes < STORAGE_BYTES_MIN),
      );
      return tight === undefined ? undefined : `${value} has less than 20 GiB free on ${tight}`;
    },
  },
  {
    id: 'bridge',
    message: 'Which bridge are they on? It needs a way to the internet.',
    kind: 'one',
    choices: bridgeChoices,
    preset: (facts, known) => only(bridgeChoices(facts, known)),
    problem: (value, facts, known) => notAmong(value, bridgeChoices(facts, known), 'bridge'),
  },
  {
    id: 'addresses',
    message: 'Where do their addresses come from? dhcp, or a range of yours: FIRST-LAST/PREFIX,GATEWAY',
    kind: 'text',
    choices: none,
    preset: () => 'dhcp',
    problem(value) {
      const addresses = parseAddresses(value);
      if (addresses === undefined) return 'write dhcp, or a range as 192.0.2.10-192.0.2.99/24,192.0.2.1';
      if (addresses === null) return undefined;
      const [problem] = problemsOfProxmoxOptions({ ...DRAFT, addresses });
      return problem === undefined
        ? undefined
        : `the ${problem.pointer.split('/').at(-1) ?? ''}: ${problem.detail}`;
    },
  },
  {
    id: 'systems',
    message: 'Which operating systems do you offer?',
    kind: 'several',
    choices: systemChoices,
    preset: () => 'debian-12,ubuntu-24.04',
    problem: (value, facts) => notAmong(value, systemChoices(facts), 'operating system'),
  },
  {
    id: 'vmids',
    message: 'Which VMIDs are the agent’s own? Nothing else may use them.',
    kind: 'text',
    choices: none,
    preset: () => VMIDS_PRESET,
    problem: (value) =>
      parseVmids(value) === null
        ? `write two VMIDs at least ${VMIDS_MIN} apart, as ${VMIDS_PRESET}`
        : undefined,
  },
  {
    id: 'coordinator',
    message: 'The coordinator’s address? It stands beside your setup token.',
    kind: 'text',
    choices: none,
    preset: () => null,
    problem: (value) =>
      URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)
        ? undefined
        : 'write an address, as https://…',
  },
];

/** COMMAND_USAGE where a known answer is wrong. */
export function assertAnswer(
  question: Question,
  value: string,
  facts: SetupFacts,
  known: KnownAnswers,
): void {
  const problem = question.problem(value, facts, known);
  if (problem === undefined) return;
  throw new AppError('COMMAND_USAGE', `--${question.id} ${value}: ${problem}.`, {
    remedy: `Give another --${question.id}, or none to be asked.`,
  });
}
