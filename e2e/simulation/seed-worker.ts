/**
 * A worker of `run-seeds.ts`: runs the seeds it is sent, one after another, and says what became of each. It ends when
 * nobody is there any more who sends some, be it in the middle of one.
 */
import { runSeed } from './run-seeds.ts';
import type { SimulationOptions } from './simulation.ts';

process.on('message', (options: SimulationOptions) => {
  void runSeed(options).then(({ summary }) => process.send?.(summary));
});
process.on('disconnect', () => process.exit());
