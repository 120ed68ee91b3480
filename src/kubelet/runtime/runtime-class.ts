/** RuntimeClass objects name the runtime's handlers. Source: concepts/containers/runtime-class. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { Client } from '#client/client.ts';
import { RUNTIME_CLASSES } from '#client/kinds.ts';
import { wantsUserNamespace } from '../pods/user-namespaces.ts';

/** The handler for a Pod; '' is the runtime's default. Rejects when the Pod names a class that the API does not have. */
export async function runtimeHandlerOf(client: Client, pod: Pod, signal: AbortSignal): Promise<string> {
  const name = pod.spec.runtimeClassName;
  return name ? (await client.of(RUNTIME_CLASSES).get('', name, signal)).handler : '';
}
/** A Pod that asks for a user namespace of its own does not run without one. Throws, in upstream's words, where the handler is not among those that can give it. */
export function refuseUserNamespace(pod: Pod, handler: string, able: readonly { readonly name?: string | undefined; readonly features?: { readonly userNamespaces?: boolean | undefined } | undefined }[]): void {
  if (!wantsUserNamespace(pod) || able.some((h) => h.name === handler && h.features?.userNamespaces)) return;
  throw new Error(`RuntimeClass handler "${handler}" does not support user namespaces`);
}
/** Whether the runtime can mount images as volumes (KEP-4639): containerd from 2.1 on; others are taken at their word. `version` is as in the Node's status. */
export function mountsImages(version: string): boolean {
  return isContainerdSince(version, 2, 1) ?? true;
}
/** Whether the runtime can put CDI devices into containers (KEP-4009): containerd from 1.7 on; others are taken at their word. */
export function injectsCdi(version: string): boolean {
  return isContainerdSince(version, 1, 7) ?? true;
}
/** Undefined where it is not containerd. */
function isContainerdSince(version: string, major: number, minor: number): boolean | undefined {
  const [, is, has] = /^containerd:\/\/(\d+)\.(\d+)/.exec(version) ?? [];
  return is === undefined ? undefined : Number(is) > major || (Number(is) === major && Number(has) >= minor);
}
