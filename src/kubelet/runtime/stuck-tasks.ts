/**
 * A start that was cut off, as when the kubelet's process is killed, may leave containerd with a container that it calls ended and a task
 * that it will not remove: neither CRI call gets rid of either. containerd's own task service does.
 */
import { sleep, type Clock } from '#base/clock.ts';
import type { Channel, Method } from '#cri/channel.ts';
import { isCriError } from '#cri/error.ts';

const NAMESPACE = { 'containerd-namespace': 'k8s.io' };
const SIGKILL = 9;
const TRIES = 20;
const PAUSE_MS = 100;

interface TaskRequest {
  readonly containerId: string;
  readonly signal?: number;
}
/** Fields 1 (`container_id`) and 3 (`signal`) of the service's requests; identifiers are shorter than 128 bytes. */
function encode({ containerId = '', signal }: Partial<TaskRequest>): Buffer {
  const id = Buffer.from(containerId);
  return Buffer.concat([Buffer.from([0x0a, id.length]), id, ...(signal === undefined ? [] : [Buffer.from([0x18, signal])])]);
}
const method = (name: string): Method<TaskRequest, object> => ({ path: `/containerd.services.tasks.v1.Tasks/${name}`, request: { encode }, response: { decode: () => ({}) } });
const KILL = method('Kill');
const DELETE = method('Delete');

/** Whether a removal failed for this reason. */
export function isStuckTask(err: unknown): boolean {
  return isCriError(err, 'FailedPrecondition') && /cannot delete running task/.test(err.desc);
}
/** Ends and removes the tasks of these containers. Resolves when they are gone; rejects where they do not go. */
export async function removeTasks(channel: Pick<Channel, 'unary'>, clock: Clock, containerIds: readonly string[], signal: AbortSignal): Promise<void> {
  for (const containerId of containerIds) {
    await channel.unary(KILL, { containerId, signal: SIGKILL }, { signal }, NAMESPACE).catch(() => {});
    for (let i = 0; ; i++) {
      try {
        await channel.unary(DELETE, { containerId }, { signal }, NAMESPACE);
        break;
      } catch (err) {
        if (isCriError(err, 'NotFound')) break;
        if (i >= TRIES) throw err;
        await sleep(clock, PAUSE_MS, signal);
      }
    }
  }
}
