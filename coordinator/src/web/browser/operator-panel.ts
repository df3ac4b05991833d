/** The administrator's panel on a contract's page: pausing it and starting it again. */
import type { WireContract } from '@dc/shared/wire/contract';
import { callApi, problemText } from './api.ts';
import { announce, byId, setProblem, whileBusy } from './dom.ts';

/** Starts the panel; call what it answers whenever the contract has changed. */
export function startOperatorPanel(
  contractId: string,
  onChange: (contract: WireContract) => void,
): (contract: WireContract) => void {
  const reason = byId('operator-reason', HTMLInputElement);
  const pause = byId('operator-pause', HTMLButtonElement);
  const resume = byId('operator-resume', HTMLButtonElement);
  for (const [button, action, doing] of [
    [pause, 'pause', 'Pausing…'],
    [resume, 'resume', 'Resuming…'],
  ] as const) {
    button.addEventListener('click', () => {
      void whileBusy(button, doing, async () => {
        setProblem('operator', '');
        try {
          const said = reason.value.trim();
          const body = JSON.stringify(said === '' ? {} : { reason: said });
          const path = `/admin/contracts/${contractId}/${action}`;
          onChange(await callApi<WireContract>('POST', path, { body }));
          reason.value = '';
          announce(action === 'pause' ? 'Paused.' : 'Resumed.');
        } catch (error) {
          setProblem('operator', problemText(error));
        }
      });
    });
  }
  return ({ state }) => {
    pause.hidden = state !== 'active';
    resume.hidden = state !== 'paused';
    byId('operator-none', HTMLElement).hidden = state === 'active' || state === 'paused';
  };
}
