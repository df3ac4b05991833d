/** How a command has the running agent do something (`control-server.ts`). */
import { createConnection } from 'node:net';
import type { Clock } from '@dc/shared/clock';
import { AppError } from '@dc/shared/errors';
import type { WireExplanation } from '@dc/shared/wire/explanation';
import { isErrorCode, type ControlAnswer, type ControlRequest } from './control-request.ts';

/** As long as a driver may take to destroy an instance. */
const ANSWER_TIMEOUT_MS = 300_000;

/**
 * What the agent answers: how many it was done to. Null where no agent listens there, and nothing was done. Throws
 * what the agent says, or AGENT_STOPPED where it went away without an answer: then it may have been done.
 */
export async function askAgent(path: string, request: ControlRequest, clock: Clock): Promise<number | null> {
  return (await ask(path, request, clock))?.done ?? null;
}

/** Why a contract is where it is, as the running agent sees it. Null and throws as `askAgent`. */
export async function askWhy(
  path: string,
  contractId: string,
  clock: Clock,
): Promise<WireExplanation | null> {
  const answer = await ask(path, { command: 'why', contract_id: contractId }, clock);
  return answer?.explanation ?? null;
}

async function ask(
  path: string,
  request: ControlRequest,
  clock: Clock,
): Promise<Extract<ControlAnswer, { done: number }> | null> {
  const line = await exchange(path, `${JSON.stringify(request)}\n`, clock);
  if (line === null) return null;
  if (!line.endsWith('\n')) {
    throw new AppError('AGENT_STOPPED', 'The agent went away without an answer.', {
      remedy: 'Run dc-agent status, and try again.',
    });
  }
  const answer = JSON.parse(line) as ControlAnswer;
  if ('done' in answer) return answer;
  const { code, detail, remedy } = answer.error;
  throw new AppError(isErrorCode(code) ? code : 'COMMAND_FAILED', detail, { remedy });
}

function exchange(path: string, line: string, clock: Clock): Promise<string | null> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = createConnection(path);
    const cancel = clock.schedule(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(line));
    socket.on('data', (chunk: string) => (text += chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const isNobodyThere = error.code === 'ENOENT' || error.code === 'ECONNREFUSED';
      if (isNobodyThere) resolve(null);
      else if (error.code === 'EACCES') {
        reject(
          new AppError('COMMAND_FAILED', `The agent's socket ${path} is closed to this user.`, {
            remedy: 'Run it as the agent’s user.',
            cause: error,
          }),
        );
      }
      // Anything else ends as a connection without an answer.
    });
    socket.on('close', () => {
      cancel();
      resolve(text);
    });
  });
}
