/** RuntimeClass objects name the runtime's handlers. Source: concepts/containers/runtime-class. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { Client } from '#client/client.ts';
import { RUNTIME_CLASSES } from '#client/kinds.ts';

/** The handler for a Pod; '' is the runtime's default. Rejects when the Pod names a class that the API does not have. */
export async function runtimeHandlerOf(client: Client, pod: Pod, signal: AbortSignal): Promise<string> {
  const name = pod.spec.runtimeClassName;
  return name ? (await client.of(RUNTIME_CLASSES).get('', name, signal)).handler : '';
}
