/** Lets the events of a fault script happen at their time, and end at theirs. */
import type { CancelTimer, Clock } from '@dc/shared/clock';
import type { SimulatorControl } from '../simulator-control.ts';
import type { EventRule, FaultScript } from './fault-script.ts';

/** Schedules every event. Answers what cancels those that have not happened. */
export function scheduleEvents(script: FaultScript, control: SimulatorControl, clock: Clock): () => void {
  const timers = new Set<CancelTimer>();
  const after = (delayMs: number, work: () => void): void => {
    timers.add(clock.schedule(delayMs, work));
  };
  for (const rule of script.rules) {
    if (rule.on !== 'time') continue;
    after(rule.atMs, () => {
      const undo = begin(rule, control);
      if (rule.forMs !== undefined) after(rule.forMs, undo);
    });
  }
  return () => {
    for (const cancel of timers) cancel();
  };
}

/** Lets an event happen; answers what puts things back. */
function begin(rule: EventRule, control: SimulatorControl): () => void {
  const undo: (() => void)[] = [];
  if (rule.nodeDown !== undefined) undo.push(control.takeNodeDown(rule.nodeDown));
  if (rule.quorumLost === true) undo.push(control.loseQuorum());
  if (rule.storageFull !== undefined)
    undo.push(control.fillStorage(rule.storageFull.storage, rule.storageFull.leavesBytes));
  if (rule.storageDisabled !== undefined) undo.push(control.disableStorage(rule.storageDisabled));
  if (rule.lockVm !== undefined) undo.push(control.lockVm(rule.lockVm.vmid, rule.lockVm.lock));
  if (rule.renewCertificate === true) control.renewCertificate();
  if (rule.vmOff !== undefined) control.switchOff(rule.vmOff);
  return () => {
    for (const each of undo) each();
  };
}
