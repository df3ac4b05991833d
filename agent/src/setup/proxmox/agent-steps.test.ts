import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { renderUnit, serviceStep } from './agent-steps.ts';
import { certificateStep } from './certificate-step.ts';
import type { Host, HostCommand, HostResult } from './host.ts';
import type { SetupContext, SetupPlan } from './setup-context.ts';
import { runSteps } from './step.ts';
import { replaceOptions } from './update-config.ts';

const SHIPPED = readFileSync(new URL('../../../../systemd/dc-agent.service', import.meta.url), 'utf8');
const SILENT = { onDone: () => undefined, onPlanned: () => undefined, onAction: () => undefined };
const USUAL = { output: '/etc/dc-agent/dc-agent.toml', stateDir: '/var/lib/dc-agent' } as SetupPlan;

describe('the unit', () => {
  it('is the shipped one where everything is where it usually is', () => {
    expect(renderUnit(SHIPPED, ['/usr/bin/dc-agent'], USUAL)).toBe(SHIPPED);
  });

  it('names the program and the configuration, and may write where the state is', () => {
    const plan = { output: '/srv/a.toml', stateDir: '/srv/state' } as SetupPlan;
    const unit = renderUnit(SHIPPED, ['/usr/bin/node', '/opt/dc/main.ts'], plan);
    expect(unit).toContain('\nExecStart=/usr/bin/node /opt/dc/main.ts run --config /srv/a.toml\n');
    expect(unit).toContain('\nProtectSystem=strict\nReadWritePaths=/srv/state\n');
  });
});

describe('the service', () => {
  let folder: string;
  let plan: SetupPlan;
  let machine: FakeMachine;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dc-service-'));
    const etc = join(folder, 'etc');
    plan = {
      output: join(etc, 'dc-agent.toml'),
      keyDir: join(etc, 'keys'),
      stateDir: join(folder, 'state'),
    } as SetupPlan;
    mkdirSync(plan.keyDir, { recursive: true });
    machine = new FakeMachine();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const step = (program = ['/usr/bin/dc-agent']) =>
    serviceStep({ here: machine, plan, signal: new AbortController().signal } as unknown as SetupContext, {
      program,
      unitDir: folder,
    });

  it('gets a user, its files, and runs; a second time there is nothing to do', async () => {
    await runSteps([step()], SILENT);
    expect(machine.changes.map((line) => line.split(' ')[0])).toEqual([
      ...['useradd', 'mkdir', 'chown', 'tee', 'systemctl', 'systemctl', 'systemctl'],
    ]);
    expect(machine.changes).toContain('systemctl restart dc-agent.service');
    expect(readFileSync(join(folder, 'dc-agent.service'), 'utf8')).toContain('User=dc-agent');
    machine.changes.splice(0);
    await runSteps([step()], SILENT);
    expect(machine.changes).toEqual([]);
  });

  it('is left to root', async () => {
    machine.uid = '1000';
    expect(await step().find()).toMatchObject({
      actions: [],
      detail: expect.stringContaining('only root') as string,
    });
  });

  it('is not installed for a program that it could not see', async () => {
    await expect(step(['/home/bob/dc-agent']).find()).rejects.toThrow('it sees nobody');
  });
});

describe('the certificate', () => {
  it('is followed by a timer, and copied at once; a second time there is nothing to do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dc-certificate-'));
    try {
      const machine = new FakeMachine();
      const context = { here: machine, signal: new AbortController().signal } as unknown as SetupContext;
      const copy = join(folder, 'pve.pem');
      machine.onStart = () => writeFileSync(copy, 'the certificate');
      await runSteps([certificateStep(context, folder, copy)], SILENT);
      expect(machine.changes.map((line) => line.replaceAll(`${folder}/`, ''))).toEqual([
        'tee dc-agent-certificate.service',
        'tee dc-agent-certificate.timer',
        'systemctl daemon-reload',
        'systemctl enable --now dc-agent-certificate.timer',
        'systemctl start dc-agent-certificate.service',
      ]);
      const unit = readFileSync(join(folder, 'dc-agent-certificate.service'), 'utf8');
      expect(unit).toMatch(/pveproxy-ssl\.pem .*pve-ssl\.pem; do .* install -D -m 644/);
      machine.changes.splice(0);
      await runSteps([certificateStep(context, folder, copy)], SILENT);
      expect(machine.changes).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** A machine with systemd, as far as the step looks at it. */
class FakeMachine implements Host {
  readonly changes: string[] = [];
  uid = '0';
  onStart = (): void => undefined;
  #isOurs = false;
  #isActive = false;

  run({ argv, input }: HostCommand): Promise<HostResult> {
    const line = argv.join(' ');
    const say = (exitCode: number, stdout = ''): Promise<HostResult> =>
      Promise.resolve({ exitCode, stdout, stderr: '' });
    if (line === 'id -u') return say(0, `${this.uid}\n`);
    if (argv[0] === 'getent') return say(this.changes.length > 0 || this.#isOurs ? 0 : 2);
    if (argv[0] === 'find') return say(0, this.#isOurs ? '' : '/etc/dc-agent\n');
    if (argv[1] === 'is-active') return say(this.#isActive ? 0 : 3);
    this.changes.push(line);
    if (argv[0] === 'chown') this.#isOurs = true;
    if (argv[0] === 'tee') writeFileSync(argv[1] ?? '', input ?? '');
    if (argv[1] === 'restart' || argv[1] === 'enable') this.#isActive = true;
    if (argv[1] === 'start') this.onStart();
    return say(0);
  }
}

describe('options in a configuration that is there', () => {
  const text = '[agent]\nbridge = "of the agent"\n[provisioner.proxmox]\n# bridge =\nurl = "a"\n';

  it('are changed in the driver’s table alone, also where they were comments', () => {
    const wanted = { bridge: 'vmbr$1', url: 'b' };
    expect(replaceOptions(text, { keys: ['bridge', 'url'], wanted })).toBe(
      '[agent]\nbridge = "of the agent"\n[provisioner.proxmox]\nbridge = "vmbr$1"\nurl = "b"\n',
    );
  });

  it('that have no line are left to the operator, with the line to write', () => {
    expect(() => replaceOptions(text, { keys: ['pool'], wanted: { pool: 'dc' } })).toThrow(
      'no line for pool',
    );
  });
});
