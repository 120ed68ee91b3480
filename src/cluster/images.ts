/** Images of the cluster's node, for the command line. */
import type { Clock } from '#base/clock.ts';
import { connectCri, type CriClient } from '#cri/client.ts';
import type { NodeConfig } from './config.ts';
import { runtimeConfigOf } from './node-runtime.ts';
import { findInstance } from './runtime/containerd.ts';
import { importImages, listImages, type ImageSummary } from './runtime/image-import.ts';
import { holding } from './runtime/hold.ts';

async function withRuntime<T>(config: NodeConfig, clock: Clock, task: (client: CriClient, socket: string) => Promise<T>): Promise<T> {
  if (config.containerRuntimeEndpoint) throw new Error(`the cluster uses the runtime at ${config.containerRuntimeEndpoint}: load and list images with its own tools`);
  const runtime = runtimeConfigOf(config);
  if (!(await findInstance(runtime))) throw new Error('the container runtime does not run; start it with: ./podyard up');
  const client = connectCri({ endpoint: runtime.socket, clock });
  try {
    return await holding(task(client, runtime.socket));
  } finally {
    client.close();
  }
}
/** Loads an archive; gives the names of its images. */
export function loadImages(config: NodeConfig, path: string, clock: Clock): Promise<string[]> {
  return withRuntime(config, clock, (runtime, socket) => importImages(path, { socket, runtime, clock }));
}
export function nodeImages(config: NodeConfig, clock: Clock): Promise<ImageSummary[]> {
  return withRuntime(config, clock, (runtime) => listImages(runtime));
}
