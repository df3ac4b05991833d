import { describe, expect, it } from 'vitest';
import { terminalCommand } from './terminal.ts';

const TOOLS = { shell: '/bin/bash', script: '/usr/bin/script', stty: '/usr/bin/stty', sftpServer: null };
const BASE = { cwd: '/home', env: { HOME: '/home' } };

describe('a command with a terminal', () => {
  it('takes what the client says of its window only as far as it is sane', () => {
    const sizes = [
      [{ rows: 50, cols: 132 }, 'rows 50 cols 132'],
      [{ rows: 0, cols: 0 }, 'rows 24 cols 80'],
      [{ rows: 4_000_000_000, cols: 1.5 }, 'rows 24 cols 1'],
    ] as const;
    for (const [size, expected] of sizes) {
      const command = terminalCommand('id', { term: 'xterm', ...size }, TOOLS, BASE);
      expect(command.args.join(' ')).toContain(expected);
    }
  });

  it('takes no odd terminal type', () => {
    const term = 'xterm; id';
    expect(terminalCommand(null, { term, rows: 24, cols: 80 }, TOOLS, BASE).env['TERM']).toBe('xterm');
  });

  it('does without the terminal where nothing can make one', () => {
    const tools = { ...TOOLS, script: null };
    const request = { term: 'xterm', rows: 24, cols: 80 };
    expect(terminalCommand(null, request, tools, BASE)).toMatchObject({ file: '/bin/bash', args: ['-i'] });
    expect(terminalCommand('id', request, tools, BASE)).toMatchObject({
      file: '/bin/bash',
      args: ['-c', 'id'],
    });
  });
});
