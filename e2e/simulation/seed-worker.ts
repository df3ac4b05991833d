/** A worker of `run-seeds.ts`: runs the seeds it is sent, one after another, and says what became of each. */
import { simulate, type SimulationOptions } from './simulation.ts';

process.on('message', (options: SimulationOptions) => {
  void simulate(options).then(({ trace: _trace, ...summary }) => process.send?.(summary));
});
