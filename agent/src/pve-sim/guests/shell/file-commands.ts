/** The guest's commands that read and write files and text. */
import { normalize } from '../guest-os.ts';
import { failed, said, type CommandContext, type GuestCommand } from './command.ts';

const DEFAULT_LINES = 10;

/** By name. */
export const FILE_COMMANDS: Readonly<Record<string, GuestCommand>> = {
  cat: (args, context) => eachFile('cat', args, context, (text) => text),
  head: (args, context) => firstOrLast('head', args, context),
  tail: (args, context) => firstOrLast('tail', args, context),
  echo: (args) => {
    const isBare = args[0] === '-n';
    return said(`${(isBare ? args.slice(1) : args).join(' ')}${isBare ? '' : '\n'}`);
  },
  printf: ([format = '', ...args]) => {
    let index = 0;
    const text = unescape(format).replace(/%[sdb%]/g, (place) =>
      place === '%%' ? '%' : (args[index++] ?? ''),
    );
    return said(text);
  },
  tee: async (args, context) => {
    const text = await context.input.all();
    const appends = args.includes('-a');
    for (const file of args.filter((arg) => !arg.startsWith('-'))) {
      const path = at(context, file);
      if (path.startsWith('/dev/')) continue;
      context.os.write(path, appends ? (context.os.read(path) ?? '') + text : text);
    }
    return said(text);
  },
  touch: (args, context) => {
    for (const file of args) context.os.write(at(context, file), context.os.read(at(context, file)) ?? '');
    return said('');
  },
  truncate: (args, context) => {
    for (const file of args.filter((arg, index) => !arg.startsWith('-') && args[index - 1] !== '-s'))
      context.os.write(at(context, file), '');
    return said('');
  },
  mkdir: (args, context) => {
    for (const folder of args.filter((arg, index) => !arg.startsWith('-') && args[index - 1] !== '-m'))
      context.os.makeFolder(at(context, folder));
    return said('');
  },
  rm: (args, context) => {
    const isForced = args.some((arg) => /^-\w*f/.test(arg));
    const missing = args
      .filter((arg) => !arg.startsWith('-'))
      .filter((file) => !removeMatching(context, file));
    return missing.length === 0 || isForced
      ? said('')
      : failed(`rm: cannot remove '${missing[0] ?? ''}': No such file or directory`);
  },
  cp: (args, context) => moveOrCopy(args, context, false),
  mv: (args, context) => moveOrCopy(args, context, true),
  install: async (args, context) => {
    const files = withoutOptions(args, ['-m', '-o', '-g']);
    if (args.includes('-d')) for (const folder of files) context.os.makeFolder(at(context, folder));
    const [from, to] = files;
    if (args.includes('-d') || from === undefined || to === undefined) return said('');
    const content =
      from === '/dev/stdin' ? await context.input.all() : (context.os.read(at(context, from)) ?? '');
    context.os.write(at(context, to), from === '/dev/null' ? '' : content, modeOf(args));
    return said('');
  },
  chmod: ([mode = '', ...files], context) => {
    for (const file of files) {
      const content = context.os.read(at(context, file));
      if (content !== undefined && /^\d+$/.test(mode))
        context.os.write(at(context, file), content, Number.parseInt(mode, 8));
    }
    return said('');
  },
  chown: () => said(''),
  chgrp: () => said(''),
  ls: (args, context) => {
    const folder = at(context, args.find((arg) => !arg.startsWith('-')) ?? '.');
    if (context.os.read(folder) !== undefined) return said(`${folder}\n`);
    if (!context.os.folders.has(folder) && folder !== '/')
      return failed(`ls: cannot access '${folder}': No such file or directory`, 2);
    const prefix = folder === '/' ? '/' : `${folder}/`;
    const names = [...context.os.files.keys(), ...context.os.folders]
      .filter((path) => path.startsWith(prefix) && path !== '/')
      .map((path) => path.slice(prefix.length).split('/')[0] ?? '');
    return said(
      [...new Set(names)]
        .filter((name) => name !== '')
        .sort()
        .map((name) => `${name}\n`)
        .join(''),
    );
  },
  test: (args, context) => said('', isTrue(args, context) ? 0 : 1),
  '[': (args, context) => said('', isTrue(args.slice(0, -1), context) ? 0 : 1),
  grep: async (args, context) => {
    const isQuiet = args.some((arg) => /^-\w*q/.test(arg));
    const isFixed = args.some((arg) => /^-\w*F/.test(arg));
    const isInverted = args.some((arg) => /^-\w*v/.test(arg));
    const [pattern = '', ...files] = args.filter((arg) => !arg.startsWith('-'));
    const text =
      files.length === 0
        ? await context.input.all()
        : files.map((file) => context.os.read(at(context, file)) ?? '').join('');
    const found = linesOf(text).filter(
      (line) => isInverted !== (isFixed ? line.includes(pattern) : new RegExp(pattern).test(line)),
    );
    return said(isQuiet ? '' : joinLines(found), found.length > 0 ? 0 : 1);
  },
  cut: (args, context) => {
    const delimiter = args.find((arg) => arg.startsWith('-d'))?.slice(2) ?? '\t';
    const field = Number(args.find((arg) => arg.startsWith('-f'))?.slice(2) ?? 1);
    return eachFile('cut', args, context, (text) =>
      joinLines(linesOf(text).map((line) => line.split(delimiter)[field - 1] ?? '')),
    );
  },
  wc: (args, context) =>
    eachFile(
      'wc',
      args,
      context,
      (text) => `${args.includes('-c') ? Buffer.byteLength(text) : linesOf(text).length}\n`,
    ),
  sort: (args, context) => eachFile('sort', args, context, (text) => joinLines(linesOf(text).sort())),
  base64: (args, context) =>
    eachFile('base64', args, context, (text) =>
      args.some((arg) => /^-(d|-decode)/.test(arg))
        ? Buffer.from(text, 'base64').toString('utf8')
        : `${Buffer.from(text).toString('base64')}\n`,
    ),
};

/** An absolute path of what a command was given. */
function at({ cwd }: CommandContext, path: string): string {
  return path.startsWith('/') ? normalize(path) : normalize(`${cwd}/${path}`);
}

async function eachFile(
  name: string,
  args: readonly string[],
  context: CommandContext,
  change: (text: string) => string,
) {
  const files = args.filter((arg) => !arg.startsWith('-') || arg === '-');
  let stdout = '';
  for (const file of files.length === 0 ? ['-'] : files) {
    const content =
      file === '-' || file === '/dev/stdin' ? await context.input.all() : context.os.read(at(context, file));
    if (content === undefined)
      return { exitCode: 1, stdout, stderr: `${name}: ${file}: No such file or directory\n` };
    stdout += change(content);
  }
  return said(stdout);
}

function firstOrLast(name: 'head' | 'tail', args: readonly string[], context: CommandContext) {
  const count = Number(
    /\d+/.exec(args.find((arg, index) => /^-(n?)\d+$/.test(arg) || args[index - 1] === '-n') ?? '')?.[0] ??
      DEFAULT_LINES,
  );
  const files = args.filter((arg, index) => !arg.startsWith('-') && args[index - 1] !== '-n');
  return eachFile(name, files, context, (text) =>
    joinLines(name === 'head' ? linesOf(text).slice(0, count) : linesOf(text).slice(-count)),
  );
}

function moveOrCopy(args: readonly string[], context: CommandContext, moves: boolean) {
  const [from = '', to = ''] = args.filter((arg) => !arg.startsWith('-'));
  const file = context.os.files.get(at(context, from));
  if (file === undefined)
    return failed(`${moves ? 'mv' : 'cp'}: cannot stat '${from}': No such file or directory`);
  const target = context.os.folders.has(at(context, to))
    ? `${at(context, to)}/${from.split('/').at(-1) ?? ''}`
    : at(context, to);
  context.os.write(target, file.content, file.mode);
  if (moves) context.os.remove(at(context, from));
  return said('');
}

/** Removes a file or folder; the last part may have a star. */
function removeMatching(context: CommandContext, path: string): boolean {
  const absolute = at(context, path);
  if (!absolute.includes('*')) return context.os.remove(absolute);
  const pattern = new RegExp(`^${absolute.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*')}$`);
  return (
    [...context.os.files.keys()].filter((file) => pattern.test(file)).map((file) => context.os.remove(file))
      .length > 0
  );
}

function isTrue(args: readonly string[], context: CommandContext): boolean {
  const { os } = context;
  const [first = '', second = '', third = ''] = args;
  if (first === '!') return !isTrue(args.slice(1), context);
  if (args.length === 1) return first !== '';
  if (first === '-n') return second !== '';
  if (first === '-z') return second === '';
  if (first === '-f' || first === '-r') return os.files.has(at(context, second));
  if (first === '-d') return os.folders.has(at(context, second));
  if (first === '-e') return os.files.has(at(context, second)) || os.folders.has(at(context, second));
  if (first === '-s') return (os.read(at(context, second)) ?? '') !== '';
  if (second === '=' || second === '==') return first === third;
  if (second === '!=') return first !== third;
  if (second === '-eq') return Number(first) === Number(third);
  return second === '-ne' && Number(first) !== Number(third);
}

function withoutOptions(args: readonly string[], withValue: readonly string[]): string[] {
  return args.filter((arg, index) => !/^-./.test(arg) && !withValue.includes(args[index - 1] ?? ''));
}

function modeOf(args: readonly string[]): number | undefined {
  const given = args.find((arg, index) => args[index - 1] === '-m' || /^-m\d+$/.test(arg));
  return given === undefined ? undefined : Number.parseInt(given.replace('-m', ''), 8);
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}

function joinLines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

function unescape(text: string): string {
  return text.replaceAll('\\n', '\n').replaceAll('\\t', '\t').replaceAll('\\\\', '\\');
}
