/**
 * Where the agent runs on the Proxmox host itself, it follows the certificate of the API through its renewals: systemd
 * copies it to where the agent's user may read it. /etc/pve is closed to that user, and the group that may look into it
 * could read the private key as well.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOrThrow, shellLine } from './host.ts';
import type { SetupContext } from './setup-context.ts';
import type { Action, Step } from './step.ts';

/** The copy. */
export const CERTIFICATE_FILE = '/var/lib/dc-agent-certificate/pve.pem';

const NAME = 'dc-agent-certificate';
/** pveproxy shows the operator's own where there is one: https://pve.proxmox.com/wiki/Certificate_Management. */
const SOURCES = '/etc/pve/local/pveproxy-ssl.pem /etc/pve/local/pve-ssl.pem';

const unitsFor = (file: string): Readonly<Record<string, string>> => ({
  [`${NAME}.service`]: `# Made by dc-agent setup.
[Unit]
Description=dc-agent: follows the certificate of Proxmox VE

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'for pem in ${SOURCES}; do test -e "$pem" && exec install -D -m 644 "$pem" ${file}; done; exit 1'
`,
  [`${NAME}.timer`]: `# Made by dc-agent setup.
[Unit]
Description=dc-agent: follows the certificate of Proxmox VE

[Timer]
OnBootSec=30s
OnUnitActiveSec=5min

[Install]
WantedBy=timers.target
`,
});

/** Installs the timer and makes the first copy. Needs root. */
export function certificateStep(
  { here, signal }: SetupContext,
  unitDir: string,
  file = CERTIFICATE_FILE,
): Step {
  const act = (argv: [string, ...string[]], input?: string): Action => ({
    line: shellLine(argv),
    run: () => runOrThrow(here, { argv, ...(input === undefined ? {} : { input }) }, signal),
  });
  return {
    title: 'Certificate',
    async find() {
      const stale = Object.entries(unitsFor(file)).filter(([name, text]) => {
        const path = join(unitDir, name);
        return !existsSync(path) || readFileSync(path, 'utf8') !== text;
      });
      const writing = stale.map(([name, text]) => act(['tee', join(unitDir, name)], text));
      const actions = writing.length === 0 ? [] : [...writing, act(['systemctl', 'daemon-reload'])];
      const timer = `${NAME}.timer`;
      const isOn =
        (await here.run({ argv: ['systemctl', 'is-active', '--quiet', timer] }, signal)).exitCode === 0;
      if (actions.length > 0 || !isOn) actions.push(act(['systemctl', 'enable', '--now', timer]));
      if (actions.length > 0 || !existsSync(file))
        actions.push(act(['systemctl', 'start', `${NAME}.service`]));
      return { detail: `the agent follows its renewals: ${file}`, actions };
    },
  };
}
