/**
 * The shell of a guest in this process: runs scripts of a small part of the shell's language with the commands of
 * file-commands.ts and system-commands.ts. What it does not know is `command not found`, as anywhere.
 */
import { normalize } from '../guest-os.ts';
import { failed, said, type CommandContext, type ShellResult } from './command.ts';
import { FILE_COMMANDS } from './file-commands.ts';
import {
  literalOf,
  parseScript,
  SyntaxProblem,
  type Pipeline,
  type SimpleCommand,
  type Word,
} from './parse-line.ts';
import { ShellInput } from './shell-input.ts';
import { SYSTEM_COMMANDS } from './system-commands.ts';

const MAX_COMMANDS = 1_000; // In one script: nothing that is meant well has more.

/** What a shell is made of. */
export type ShellParts = Pick<CommandContext, 'os' | 'machine' | 'clock' | 'random' | 'signal'>;

const KILLED = 137;

export class GuestShell {
  readonly #parts: ShellParts;

  constructor(parts: ShellParts) {
    this.#parts = parts;
  }

  prompt(user: string): string {
    return `${user}@${this.#parts.machine.hostname()}:~${user === 'root' ? '#' : '$'} `;
  }

  /** Runs a script as a user. Never rejects. */
  async run(user: string, script: string, input: ShellInput): Promise<ShellResult> {
    return this.#untilOff(new ScriptRun(this, user).script(script, input));
  }

  /** Runs one program with its arguments, without a shell between. */
  async runCommand(user: string, argv: readonly string[], input: ShellInput): Promise<ShellResult> {
    return this.#untilOff(new ScriptRun(this, user).program(argv, input));
  }

  get parts(): ShellParts {
    return this.#parts;
  }

  /** What runs when the machine goes off is killed. */
  async #untilOff(running: Promise<ShellResult>): Promise<ShellResult> {
    try {
      return await running;
    } catch (error) {
      if (error instanceof ExitRequest) return error.result;
      if (!this.#parts.signal.aborted) throw error;
      return { exitCode: KILLED, stdout: '', stderr: '' };
    }
  }
}

class ScriptRun {
  readonly #shell: GuestShell;
  readonly #user: string;
  readonly #variables = new Map<string, string>();
  #cwd: string;
  #status = 0;
  #stopsOnError = false;
  #left = MAX_COMMANDS;

  constructor(shell: GuestShell, user: string) {
    this.#shell = shell;
    this.#user = user;
    const home = shell.parts.os.user(user)?.home ?? '/';
    this.#cwd = home;
    for (const [name, value] of [
      ['HOME', home],
      ['USER', user],
      ['PATH', '/usr/sbin:/usr/bin:/sbin:/bin'],
    ] as const)
      this.#variables.set(name, value);
  }

  async script(script: string, input: ShellInput): Promise<ShellResult> {
    let stdout = '';
    let stderr = '';
    try {
      const pipelines = parseScript(script);
      for (const [index, pipeline] of pipelines.entries()) {
        if (pipeline.when === 'success' && this.#status !== 0) continue;
        if (pipeline.when === 'failure' && this.#status === 0) continue;
        const result = await this.#pipeline(pipeline, input);
        stdout += result.stdout;
        stderr += result.stderr;
        this.#status = pipeline.negated ? Number(result.exitCode === 0) : result.exitCode;
        // Only the last of a list of && and || ends a script that stops at errors.
        const isLast = (pipelines[index + 1]?.when ?? 'always') === 'always';
        if (result.exitCode !== 0 && this.#stopsOnError && isLast) break;
      }
    } catch (error) {
      if (error instanceof ExitRequest) {
        const { exitCode, stdout: last, stderr: complaint } = error.result;
        return { exitCode, stdout: stdout + last, stderr: stderr + complaint };
      }
      if (!(error instanceof SyntaxProblem)) throw error;
      return { exitCode: 2, stdout, stderr: `${stderr}sh: 1: ${error.message}\n` };
    }
    return { exitCode: this.#status, stdout, stderr };
  }

  async #pipeline({ commands }: Pipeline, input: ShellInput): Promise<ShellResult> {
    let current = input;
    let stderr = '';
    let last = said('');
    for (const command of commands) {
      last = await this.#simple(command, current);
      current = ShellInput.of(last.stdout);
      stderr += last.stderr;
    }
    return { ...last, stderr };
  }

  async #simple({ words, redirections }: SimpleCommand, input: ShellInput): Promise<ShellResult> {
    const argv = (await Promise.all(words.map((word) => this.#expand(word)))).flat();
    const assignments: [string, string][] = [];
    while (
      argv.length > 0 &&
      /^[A-Za-z_][A-Za-z0-9_]*=/.test(argv[0] ?? '') &&
      literalPrefix(words[assignments.length])
    ) {
      const [text = ''] = argv.splice(0, 1);
      assignments.push([text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]);
    }
    if (argv.length === 0) for (const [name, value] of assignments) this.#variables.set(name, value);
    let own = input;
    for (const { how, target } of redirections) {
      if (how !== 'read') continue;
      const file = this.#path((await this.#expand(target))[0] ?? '');
      const content = file === '/dev/null' ? '' : this.#shell.parts.os.read(file);
      if (content === undefined) return failed(`sh: 1: cannot open ${file}: No such file`, 2);
      own = ShellInput.of(content);
    }
    const result = argv.length === 0 ? said('') : await this.program(argv, own);
    return this.#redirect(result, redirections);
  }

  async #redirect(result: ShellResult, redirections: SimpleCommand['redirections']): Promise<ShellResult> {
    let { stdout, stderr } = result;
    for (const { from, how, target } of redirections) {
      if (how === 'read') continue;
      if (how === 'duplicate') {
        stdout += stderr;
        stderr = '';
        continue;
      }
      const file = this.#path((await this.#expand(target))[0] ?? '');
      const text = from === 2 ? stderr : stdout;
      if (from === 2) stderr = '';
      else stdout = '';
      if (file.startsWith('/dev/')) continue;
      const { os } = this.#shell.parts;
      os.write(file, how === 'append' ? (os.read(file) ?? '') + text : text);
    }
    return { exitCode: result.exitCode, stdout, stderr };
  }

  /** Runs one program: a built-in of the shell, or a command of the guest. */
  async program(argv: readonly string[], input: ShellInput): Promise<ShellResult> {
    if (--this.#left < 0) throw new SyntaxProblem('too many commands');
    const [path = '', ...args] = argv;
    const name = path.split('/').at(-1) ?? '';
    if (name === 'cd') {
      this.#cwd = this.#path(args[0] ?? this.#variables.get('HOME') ?? '/');
      return said('');
    }
    if (name === 'set') {
      if (args.some((arg) => /^-\w*e/.test(arg))) this.#stopsOnError = true;
      return said('');
    }
    if (name === 'export') {
      for (const arg of args)
        if (arg.includes('='))
          this.#variables.set(arg.slice(0, arg.indexOf('=')), arg.slice(arg.indexOf('=') + 1));
      return said('');
    }
    if (name === 'read') {
      const line = await input.line();
      this.#variables.set(args.at(-1) ?? 'REPLY', line ?? '');
      return said('', line === null ? 1 : 0);
    }
    if (name === 'exit') throw new ExitRequest(said('', Number(args[0] ?? this.#status)));
    if (name === 'exec') throw new ExitRequest(await this.program(args, input));
    const command = FILE_COMMANDS[name] ?? SYSTEM_COMMANDS[name];
    if (command === undefined) return failed(`sh: 1: ${name}: not found`, 127);
    return command(args, this.#context(input));
  }

  #context(input: ShellInput): CommandContext {
    const another = (user: string): ScriptRun => new ScriptRun(this.#shell, user);
    return {
      ...this.#shell.parts,
      user: this.#user,
      input,
      cwd: this.#cwd,
      shell: (script, given, user = this.#user) => another(user).script(script, given),
      command: (argv, given, user = this.#user) => another(user).program(argv, given),
    };
  }

  #path(path: string): string {
    return path.startsWith('/') ? normalize(path) : normalize(`${this.#cwd}/${path.replace(/^~\//, '')}`);
  }

  /** The arguments that a word becomes: one, or where something unquoted is empty or has blanks, none or several. */
  async #expand(word: Word): Promise<string[]> {
    const literal = literalOf(word);
    if (literal !== null) return [literal.replace(/^~(?=\/|$)/, this.#variables.get('HOME') ?? '')];
    let text = '';
    let mayVanish = true;
    let splits = false;
    for (const part of word) {
      if (part.kind === 'text') {
        text += part.text;
        mayVanish = false;
        continue;
      }
      const value =
        part.kind === 'variable'
          ? this.#variable(part.name)
          : (await this.#subshell().script(part.script, ShellInput.of(''))).stdout.replace(/\n+$/, '');
      if (part.quoted) mayVanish = false;
      else splits = splits || /\s/.test(value);
      text += value;
    }
    if (splits) return text.split(/\s+/).filter((each) => each !== '');
    return text === '' && mayVanish ? [] : [text];
  }

  /** What `$( … )` runs in: it knows our variables and changes none. */
  #subshell(): ScriptRun {
    const inner = new ScriptRun(this.#shell, this.#user);
    for (const [name, value] of this.#variables) inner.#variables.set(name, value);
    inner.#cwd = this.#cwd;
    return inner;
  }

  #variable(name: string): string {
    return name === '?' ? String(this.#status) : (this.#variables.get(name) ?? '');
  }
}

class ExitRequest extends Error {
  readonly result: ShellResult;
  constructor(result: ShellResult) {
    super('exit');
    this.result = result;
  }
}

function literalPrefix(word: Word | undefined): boolean {
  const first = word?.[0];
  return first?.kind === 'text' && /^[A-Za-z_]/.test(first.text);
}
