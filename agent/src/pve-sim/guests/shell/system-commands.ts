/** The guest's commands about users, passwords, keys, names, services and the machine. */
import { sleep } from '@dc/shared/clock';
import { HOST_KEY_FILE } from '../guest-os.ts';
import { failed, said, type CommandContext, type GuestCommand, type ShellResult } from './command.ts';

const SLEEP_SECONDS_MAX = 3_600;

/** By name. */
export const SYSTEM_COMMANDS: Readonly<Record<string, GuestCommand>> = {
  true: () => said(''),
  ':': () => said(''),
  false: () => said('', 1),
  umask: () => said(''),
  sync: () => said(''),
  whoami: (_args, { user }) => said(`${user}\n`),
  id: (args, { os, user }) => {
    const name = args.find((arg) => !arg.startsWith('-')) ?? user;
    const found = os.user(name);
    if (found === undefined) return failed(`id: '${name}': no such user`);
    if (args.some((arg) => /^-\w*u/.test(arg)))
      return said(`${args.some((arg) => /^-\w*n/.test(arg)) ? name : found.uid}\n`);
    return said(`uid=${found.uid}(${name}) gid=${found.uid}(${name}) groups=${found.uid}(${name})\n`);
  },
  uname: (args, { machine }) =>
    said(
      args.includes('-a')
        ? `Linux ${machine.hostname()} 6.1.0-41-cloud-amd64 x86_64 GNU/Linux\n`
        : args.includes('-n')
          ? `${machine.hostname()}\n`
          : args.includes('-r')
            ? '6.1.0-41-cloud-amd64\n'
            : 'Linux\n',
    ),
  nproc: () => said('1\n'),
  uptime: (_args, { machine }) =>
    said(` up ${Math.trunc(machine.uptimeSeconds() / 60)} min,  1 user,  load average: 0.00, 0.00, 0.00\n`),
  date: (_args, { clock }) => said(`${new Date(clock.now()).toUTCString()}\n`),
  pwd: (_args, { cwd }) => said(`${cwd}\n`),
  hostname: ([name], { machine }) => {
    if (name === undefined || name.startsWith('-')) return said(`${machine.hostname()}\n`);
    machine.setHostname(name);
    return said('');
  },
  hostnamectl: (args, { os, machine }) => {
    const at = args.findIndex((arg) => arg === 'set-hostname' || arg === 'hostname');
    const name = args[at + 1];
    if (at < 0 || name === undefined) return said(` Static hostname: ${os.hostname}\n`);
    os.write('/etc/hostname', `${name}\n`);
    machine.setHostname(name);
    return said('');
  },
  chpasswd: async (args, context) => {
    const text = await context.input.all();
    return asRoot(context, 'chpasswd', () => changePasswords(args, text, context));
  },
  passwd: ([option = '', name = ''], context) =>
    asRoot(context, 'passwd', () => {
      const { os } = context;
      if (os.user(name) === undefined) return failed(`passwd: user '${name}' does not exist`);
      if (option === '-l') os.setPasswordHash(name, `!${os.passwordHash(name)}`);
      if (option === '-u') os.setPasswordHash(name, os.passwordHash(name).replace(/^!/, ''));
      if (option === '-d') os.setPasswordHash(name, '');
      return said('passwd: password changed.\n');
    }),
  useradd: (args, context) => asRoot(context, 'useradd', () => addUser(args, context)),
  adduser: (args, context) => asRoot(context, 'adduser', () => addUser(args, context)),
  userdel: (args, context) =>
    asRoot(context, 'userdel', () => {
      const name = args.at(-1) ?? '';
      const user = context.os.user(name);
      if (user === undefined) return failed(`userdel: user '${name}' does not exist`, 6);
      context.os.removeUser(name);
      if (args.some((arg) => /^-\w*r/.test(arg))) context.os.remove(user.home);
      return said('');
    }),
  usermod: (args, context) =>
    asRoot(context, 'usermod', () => {
      const name = args.at(-1) ?? '';
      if (context.os.user(name) === undefined) return failed(`usermod: user '${name}' does not exist`, 6);
      if (args.includes('-L')) context.os.setPasswordHash(name, `!${context.os.passwordHash(name)}`);
      if (args.includes('-U'))
        context.os.setPasswordHash(name, context.os.passwordHash(name).replace(/^!/, ''));
      const at = args.indexOf('-p');
      if (at >= 0) context.os.setPasswordHash(name, args[at + 1] ?? '*');
      return said('');
    }),
  getent: ([database = '', name = ''], { os }) => {
    const line = (os.read(`/etc/${database}`) ?? '').split('\n').find((each) => each.startsWith(`${name}:`));
    return line === undefined ? said('', 2) : said(`${line}\n`);
  },
  'ssh-keygen': (args, { os, random }) => {
    if (args.includes('-A')) os.makeHostKey(random);
    const file = args[args.indexOf('-f') + 1];
    if (args.includes('-l') || args.includes('-y')) return failed('ssh-keygen: not simulated');
    if (!args.includes('-A') && file === HOST_KEY_FILE) {
      os.remove(HOST_KEY_FILE);
      os.makeHostKey(random);
    }
    return said('');
  },
  'systemd-machine-id-setup': (_args, { os, random }) => {
    os.makeMachineId(random);
    return said('', 0, 'Initializing machine ID from random generator.\n');
  },
  'dbus-uuidgen': (_args, { os, random }) => {
    os.makeMachineId(random);
    return said('');
  },
  'dpkg-reconfigure': (_args, { os, random }) => {
    os.makeHostKey(random);
    return said('');
  },
  systemctl: ([verb = '', ...rest], { machine }) => {
    if (verb === 'poweroff') machine.powerOff();
    if (verb === 'is-active' || verb === 'is-system-running')
      return said(verb === 'is-active' ? 'active\n' : 'running\n');
    return said(verb === 'is-enabled' && rest.length > 0 ? 'enabled\n' : '');
  },
  service: () => said(''),
  poweroff: (_args, { machine }) => {
    machine.powerOff();
    return said('');
  },
  'cloud-init': ([verb = '']) => (verb === 'status' ? said('status: done\n') : said('')),
  ip: (_args, { machine }) =>
    said(
      machine
        .addresses()
        .map(
          ({ name, mac, cidr }, index) =>
            `${index + 1}: ${name}: <BROADCAST,UP>\n    link/ether ${mac.toLowerCase()}\n    inet ${cidr} scope global ${name}\n`,
        )
        .join(''),
    ),
  sleep: async ([seconds = '0'], { clock, signal }) => {
    await sleep(clock, Math.min(Number(seconds) || 0, SLEEP_SECONDS_MAX) * 1_000, signal);
    return said('');
  },
  sh: (args, context) => runShell(args, context),
  bash: (args, context) => runShell(args, context),
  dash: (args, context) => runShell(args, context),
  env: (args, context) =>
    context.command(
      args.filter((arg) => !/^\w+=/.test(arg)),
      context.input,
    ),
  nohup: (args, context) => context.command(args, context.input),
  timeout: ([, ...args], context) => context.command(args, context.input),
  sudo: (args, context) => sudo(args, context),
};

async function runShell(args: readonly string[], context: CommandContext): Promise<ShellResult> {
  const at = args.findIndex((arg) => /^-\w*c$/.test(arg));
  if (at >= 0)
    return context.shell(`${/e/.test(args[at] ?? '') ? 'set -e\n' : ''}${args[at + 1] ?? ''}`, context.input);
  const file = args.find((arg) => !arg.startsWith('-'));
  const prefix = args.some((arg) => /^-\w*e/.test(arg)) ? 'set -e\n' : '';
  const script = file === undefined ? await context.input.all() : (context.os.read(file) ?? '');
  return context.shell(prefix + script, context.input);
}

function sudo(args: readonly string[], context: CommandContext): ShellResult | Promise<ShellResult> {
  const { os, user } = context;
  const isSudoer =
    user === 'root' ||
    [...os.files].some(
      ([path, { content }]) => path.startsWith('/etc/sudoers') && content.includes(`${user} `),
    );
  if (!isSudoer) return failed(`sudo: a password is required`);
  const at = args.findIndex((arg) => arg === '-u');
  const as = at < 0 ? 'root' : (args[at + 1] ?? 'root');
  const rest = args.filter((_, index) => at < 0 || (index !== at && index !== at + 1));
  while (rest[0]?.startsWith('-') === true) rest.shift();
  return context.command(rest, context.input, as);
}

function asRoot({ user }: CommandContext, name: string, work: () => ShellResult): ShellResult {
  return user === 'root' ? work() : failed(`${name}: Permission denied.`);
}

function addUser(args: readonly string[], { os }: CommandContext): ShellResult {
  const name = args.at(-1) ?? '';
  if (!/^[a-z_][a-z0-9_-]*$/.test(name)) return failed(`useradd: invalid user name '${name}'`, 3);
  if (os.user(name) !== undefined) return failed(`useradd: user '${name}' already exists`, 9);
  os.addUser(name);
  return said('');
}

/** `user:password` in each line; with -e the password is a hash. One bad line changes nothing of what follows. */
function changePasswords(args: readonly string[], text: string, { os, random }: CommandContext): ShellResult {
  const lines = text.split('\n').filter((line) => line !== '');
  for (const [index, line] of lines.entries()) {
    const at = line.indexOf(':');
    if (at < 0) return failed(`chpasswd: line ${index + 1}: missing new password`);
    const name = line.slice(0, at);
    if (os.user(name) === undefined)
      return failed(
        `chpasswd: (user ${name}) pam_chauthtok() failed, error:\nAuthentication token manipulation error\nchpasswd: (line ${index + 1}, user ${name}) password not changed`,
      );
    if (args.includes('-e')) os.setPasswordHash(name, line.slice(at + 1));
    else os.setPassword(name, line.slice(at + 1), random);
  }
  return said('');
}
