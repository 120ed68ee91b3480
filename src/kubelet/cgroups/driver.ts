/** Who makes the groups of Pods: the kubelet itself in the file systems, or systemd. Groups are named by their path of plain names: `['kubepods', 'burstable', 'pod<uid>']`. */
import { join } from 'node:path';
import type { CgroupHierarchy, CgroupLimits } from './hierarchy.ts';

export interface CgroupDriver {
  readonly name: 'cgroupfs' | 'systemd';
  /** Where a group is in the hierarchies; also the parent that the runtime is told. */
  pathOf(names: readonly string[]): string;
  /** Makes a group with its parents, or gives one that is there other limits. Limits that are not named stay. */
  create(names: readonly string[], limits: CgroupLimits): Promise<void>;
  /** Idempotent. Rejects with EBUSY when processes are left, after they were killed: to be called again. */
  remove(names: readonly string[]): Promise<void>;
  /** The last names of the groups directly below one. */
  children(names: readonly string[]): Promise<readonly string[]>;
  /** Where the runtime puts a container of a Pod. */
  containerPath(podPath: string, id: string): string;
}

export function cgroupfsDriver(hierarchy: CgroupHierarchy): CgroupDriver {
  const pathOf = (names: readonly string[]): string => `/${names.join('/')}`;
  return {
    name: 'cgroupfs',
    pathOf,
    create: (names, limits) => hierarchy.create(pathOf(names), limits),
    remove: (names) => hierarchy.remove(pathOf(names)),
    children: (names) => hierarchy.children(pathOf(names)),
    containerPath: (podPath, id) => join(podPath, id),
  };
}
