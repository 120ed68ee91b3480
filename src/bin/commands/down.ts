/** `podyard down`: ends Podyard's processes; data stays, and so do the Pods, unless they are to stop too. */
import { hasJoined, readMachineConfig } from '#cluster/join/config.ts';
import { drainDaemon, stopDaemon } from '#cluster/daemon.ts';
import { podCount, stopRuntime } from '#cluster/teardown.ts';
import { systemClock } from '#base/clock.ts';
import { parseArguments, type Flags } from '../arguments.ts';
import { DATA_DIR_FLAG, dataDirOf } from '../cluster-flags.ts';
import { say, step } from '../terminal.ts';

export const DOWN_FLAGS: Flags = {
  ...DATA_DIR_FLAG,
  pods: { type: 'boolean', help: 'stop the containers of all Pods too; the next "up" starts them anew' },
  drain: { type: 'boolean', help: 'stop Pods as at a shutdown of the machine: gracefully, and for good' },
};

export async function down(args: readonly string[]): Promise<number> {
  const parsed = parseArguments(args, DOWN_FLAGS);
  const dataDir = dataDirOf(parsed);
  const config = await readMachineConfig(dataDir);
  if (!config) {
    say(`There is no cluster in ${dataDir}.`);
    return 0;
  }
  if (parsed.flags['drain']) await step('Pods stopped', () => drainDaemon(config, systemClock));
  const pods = await podCount(config, systemClock);
  await step(hasJoined(config) ? 'node stopped' : 'cluster stopped', () => stopDaemon(config, systemClock));
  await step(parsed.flags['pods'] ? 'Pods and container runtime stopped' : 'container runtime stopped', () => stopRuntime(config, systemClock, Boolean(parsed.flags['pods'])));
  if (pods > 0 && !parsed.flags['pods']) say(`\n${pods} Pod${pods === 1 ? '' : 's'} keep${pods === 1 ? 's' : ''} running and will be taken up by the next "./podyard up"; stop them too with: ./podyard down --pods`);
  return 0;
}
