/** Where a Pod's files are on the host. */
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import type { KubeletConfig } from '../config.ts';

export function podDir(config: KubeletConfig, uid: string): string {
  return join(config.rootDir, 'pods', uid);
}
export function containerDir(config: KubeletConfig, uid: string, container: string): string {
  return join(podDir(config, uid), 'containers', container);
}
export function podLogDir(config: KubeletConfig, pod: Pick<Pod, 'metadata'>): string {
  const { namespace, name, uid } = pod.metadata;
  return join(config.podLogsDir, `${namespace}_${name}_${uid}`);
}
/** Relative to {@link podLogDir}, as CRI wants it. */
export function containerLogPath(container: string, restartCount: number): string {
  return `${container}/${restartCount}.log`;
}
export function seccompDir(config: KubeletConfig): string {
  return join(config.rootDir, 'seccomp');
}
