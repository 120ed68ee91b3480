/** `podyard uninstall`: takes the cluster, its Pods and every trace of them off the machine. */
import { hasJoined, readMachineConfig } from '#cluster/join/config.ts';
import { uninstallCluster } from '#cluster/teardown.ts';
import { systemClock } from '#base/clock.ts';
import { parseArguments, type Flags } from '../arguments.ts';
import { DATA_DIR_FLAG, dataDirOf } from '../cluster-flags.ts';
import { complain, confirm, say, step } from '../terminal.ts';

export const UNINSTALL_FLAGS: Flags = { ...DATA_DIR_FLAG, yes: { type: 'boolean', help: 'do not ask' } };

export async function uninstall(args: readonly string[]): Promise<number> {
  const parsed = parseArguments(args, UNINSTALL_FLAGS);
  const dataDir = dataDirOf(parsed);
  const config = await readMachineConfig(dataDir);
  if (!config) {
    say(`There is no cluster in ${dataDir}.`);
    return 0;
  }
  if (!parsed.flags['yes'] && !(await confirm(hasJoined(config) ? `Remove node ${config.nodeName} from this machine, with all its data?` : `Remove the cluster in ${dataDir} with all its data?`))) {
    complain('nothing was removed; answer yes on a terminal, or run this command again with --yes');
    return 1;
  }
  const failures = await step(`${hasJoined(config) ? 'node' : 'cluster'}, Pods and data removed`, () => uninstallCluster(config, systemClock));
  for (const f of failures) complain(`could not undo ${f.change.kind} ${f.change.id}: ${f.error.message}`);
  if (failures.length) say('    → mend what is named above and run this command again');
  else {
    say('Debian packages that were installed for it stay; remove them with apt-get if nothing else needs them.');
    // A node may not remove its own object.
    if (hasJoined(config)) say(`\nThe cluster still knows the node. On the server: ./podyard kubectl delete node ${config.nodeName}`);
  }
  return failures.length ? 1 : 0;
}
