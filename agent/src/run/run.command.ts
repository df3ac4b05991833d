/** `dc-agent run`: the daemon, from start to drain. */
import { setFlagsFromString } from 'node:v8';
import type { Command } from '../lib/command.ts';
import { EXIT, exitCodeOf } from '../lib/exit-code.ts';

export const runCommand: Command = {
  name: 'run',
  summary: 'run the agent until SIGTERM or SIGINT',
  description:
    'Runs the agent in the foreground and logs JSON lines. SIGTERM and SIGINT drain it: no new work, running steps ' +
    'get time to end, instances keep existing. A second signal ends it at once.',
  async run({ configFile }, world) {
    saveMemory();
    const { clock, random, environment } = world;
    const { loadConfig } = await import('../config/load-config.ts');
    const config = await loadConfig(configFile);
    const { createLog } = await import('../lib/log.ts');
    const log = await createLog(config.logLevel);
    const { notifySystemd } = await import('./notify-systemd.ts');
    const notify = notifySystemd(environment, clock, ({ code, message }) =>
      log.warn({ code, detail: message }, 'systemd.not_told'),
    );
    const { createAgent } = await import('../wiring.ts');
    const { controlSocket } = await import('../config/paths.ts');
    const { watchdogMs } = environment;
    const controlPath = controlSocket(config.stateDir);
    const agent = createAgent(config, { clock, random, log, notify, watchdogMs, controlPath });
    const signalled = world.signalled();
    await agent.start();
    await notify('READY=1');
    const end = await Promise.race([
      signalled.then((signal) => ({ signal, error: null })),
      agent.failure.then((error) => ({ signal: null, error })),
    ]);
    await notify('STOPPING=1');
    if (end.signal === null) {
      await agent.stop();
      // Why was logged when it happened; a bug keeps its stack.
      if (exitCodeOf(end.error) === EXIT.failed) throw end.error;
      return exitCodeOf(end.error);
    }
    await agent.drain();
    return end.signal === 'SIGTERM' ? EXIT.sigterm : EXIT.sigint;
  },
};

/**
 * The HTTP client parses answers in WebAssembly. V8 would compile that a second time, optimised, after a few of
 * them, which leaves 12 MB behind in a daemon that parses some answers a minute. With such a budget it never does.
 */
function saveMemory(): void {
  setFlagsFromString('--wasm-tiering-budget=2000000000');
}
