/** `dc-agent test-provision`: proves that this machine can deliver, before anybody pays for it. */
import { readFileSync } from 'node:fs';
import { AppError } from '@dc/shared/errors';
import { parseSshPublicKey } from '@dc/shared/ssh-public-key';
import { flagOption, textOption, type Command } from '../lib/command.ts';
import { EXIT } from '../lib/exit-code.ts';

export const testProvisionCommand: Command = {
  name: 'test-provision',
  summary: 'make one real instance and destroy it again, with times',
  description:
    'Makes one instance of the smallest offering through the real driver, waits until its SSH server answers, and destroys ' +
    'it again, also when it is interrupted. Works beside a running agent and tells the coordinator nothing.',
  options: [
    {
      flags: '--ssh-pubkey <file>',
      description: 'the SSH public key that may log in; without it nobody can',
    },
    { flags: '--keep', description: 'keep the instance until Ctrl-C, to log in to it' },
    { flags: '--os <name>', description: 'the operating system; that of the smallest offering unless given' },
    { flags: '--json', description: 'print JSON' },
  ],
  async run(input, world) {
    const { clock, random } = world;
    const asJson = flagOption(input, 'json');
    const keyFile = textOption(input, 'sshPubkey');
    const { loadConfig } = await import('../config/load-config.ts');
    const { loadKeys } = await import('../config/key-files.ts');
    const { probeSshOn } = await import('../health/probe-ssh.ts');
    const { testProvision } = await import('./test-provision.ts');
    const { describeHostKey } = await import('../provisioners/ssh-host-key.ts');
    const config = await loadConfig(input.configFile);
    // A key without a private half: nobody is let in.
    const nobody = describeHostKey(Buffer.from(config.providerKey, 'hex')).hostKey;
    const stop = new AbortController();
    const signalled = world.signalled();
    void signalled.then(() => stop.abort());
    const { signal } = stop;
    const { readOffers } = await import('./read-offers.ts');
    const offers = await readOffers(config, { clock, random, signal });
    const stages = await testProvision({
      clock,
      random,
      config,
      keys: loadKeys(config.keyDir),
      probeSsh: probeSshOn(clock),
      sshPublicKey: keyFile === null ? nobody : readSshKey(keyFile),
      operatingSystem: textOption(input, 'os'),
      offers,
      signal,
      onStage: ({ name, durationMs, warnings = [] }) => {
        if (asJson) return;
        world.print(`✓ ${name.padEnd(22)} ${durationMs.toFixed(0).padStart(7)} ms`);
        for (const line of warnings) world.print(`  ! ${line}`);
      },
      whileUp: async ({ host, port, user, hostKeyFingerprint }) => {
        if (!asJson) world.print(`  ssh -p ${port} ${user}@${host}   # host key ${hostKeyFingerprint}`);
        if (!flagOption(input, 'keep')) return;
        if (!asJson) world.print('  It stays until Ctrl-C.');
        await signalled;
      },
    });
    if (asJson) {
      const said = stages.map(({ name, durationMs, warnings = [] }) => ({
        name,
        duration_ms: Math.round(durationMs),
        ...(warnings.length === 0 ? {} : { warnings }),
      }));
      world.print(JSON.stringify({ ok: true, stages: said }));
    }
    return EXIT.ok;
  },
};

function readSshKey(file: string): string {
  try {
    return parseSshPublicKey(readFileSync(file, 'utf8')).line;
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('COMMAND_USAGE', `The SSH key file ${file} cannot be read.`, { cause: error });
  }
}
