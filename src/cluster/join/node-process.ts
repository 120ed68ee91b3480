/** The process of a node that has joined: everything in its table of components, from start to stop. */
import { systemClock } from '#base/clock.ts';
import { configureLogging } from '#base/logger.ts';
import { readNodeFiles } from '../node-files.ts';
import { podMtuOf } from '../node-runtime.ts';
import { runComponents } from '../process.ts';
import type { ProgressReporter } from '../progress.ts';
import type { JoinedConfig } from './config.ts';
import { refreshConfig } from './join.ts';
import { NodeCertificates } from './node-certificates.ts';
import { nodeComponentTable, type NodeAssembly } from './node-components.ts';

/** Runs the node until `signal` aborts or a component fails, as `runCluster` runs a cluster. */
export async function runNode(joined: JoinedConfig, reporter: ProgressReporter | undefined, signal: AbortSignal, powerDown: AbortSignal): Promise<void> {
  configureLogging({ level: joined.logLevel });
  const config = await refreshConfig(joined);
  const files = await readNodeFiles(config);
  const podMtu = await podMtuOf(config);
  await runComponents<NodeAssembly>({ config, clock: systemClock, reporter, signal, powerDown }, {
    assemble: (parts) => ({ ...parts, ...files, podMtu, config, certificates: new NodeCertificates(config, parts.clock) }),
    table: nodeComponentTable,
  });
}
