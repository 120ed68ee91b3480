/** Which run of a container a log request means, and why there is none, in upstream's words. */
import type { ContainerStatus, Pod } from '#api/gen/core-v1.ts';

function statusOf(pod: Pod, container: string): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  return [...containerStatuses, ...initContainerStatuses, ...ephemeralContainerStatuses].find((s) => s.name === container);
}

/**
 * The runtime's id of the container run whose log is asked for, without the runtime's name (`containerd://`). Throws when there is no such run.
 * `pod` carries the status that the kubelet has last made.
 */
export function loggedContainerId(pod: Pod, container: string, previous: boolean): string {
  const what = `container ${JSON.stringify(container)} in pod ${JSON.stringify(pod.metadata.name ?? '')}`;
  const status = statusOf(pod, container);
  if (!status) throw new Error(`${what} is not available`);
  const last = status.lastState?.terminated;
  if (previous) return bareId(last?.containerID) ?? fail(`previous terminated ${what} not found`);
  const { running, terminated, waiting } = status.state ?? {};
  if (running) return bareId(status.containerID) ?? fail(`${what} is not available`);
  // When the next run did not come to be, its state carries no id and the last run's log is meant.
  if (terminated) return bareId(terminated.containerID) ?? bareId(last?.containerID) ?? fail(`${what} is terminated`);
  if (last) return bareId(last.containerID) ?? fail(`${what} is terminated`);
  if (!waiting) return fail(`${what} is waiting to start - no logs yet`);
  if (waiting.reason === 'ErrImagePull') return fail(`${what} is waiting to start: image can't be pulled`);
  if (waiting.reason === 'ImagePullBackOff') return fail(`${what} is waiting to start: trying and failing to pull image`);
  return fail(`${what} is waiting to start: ${waiting.reason ?? ''}`);
}

function fail(message: string): never {
  throw new Error(message);
}
function bareId(id: string | undefined): string | undefined {
  if (!id) return undefined;
  const at = id.indexOf('://');
  return at < 0 ? id : id.slice(at + 3);
}
