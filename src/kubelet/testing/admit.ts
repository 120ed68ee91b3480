import type { Pod } from '#api/gen/core-v1.ts';
import { NO_AFFINITY, type HintProvider } from '../topologymanager/topology-manager.ts';

/** Has the provider give every container of the Pod what it asks for, wherever that is. */
export async function admitTo(provider: HintProvider, pod: Pod, signal: AbortSignal = new AbortController().signal): Promise<void> {
  const admission = provider.begin(pod);
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) await admission.allocate(container, NO_AFFINITY, signal);
}
