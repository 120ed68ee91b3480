/** Cgroups of Pods: `<root>/kubepods[/burstable|/besteffort]/pod<uid>`, never outside of the node's own root. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { CgroupManager } from '../interfaces.ts';
import { isRestartableInit } from '../pods/containers.ts';
import { podRequests } from '../pods/admission.ts';
import { cpuMillis, memoryBytes, qosOf, type QosClass } from '../pods/qos.ts';
import { quotaOf, sharesOf } from '../runtime/linux-resources.ts';
import type { CgroupHierarchy, CgroupLimits } from './hierarchy.ts';

const QOS_DIRS: Readonly<Record<QosClass, string>> = { Guaranteed: '', Burstable: '/burstable', BestEffort: '/besteffort' };

export function newCgroupManager(hierarchy: CgroupHierarchy, root: string, podPidsLimit = 0, hasExclusiveCpus: (uid: string) => boolean = () => false): CgroupManager {
  const pathOf = (qos: QosClass, uid: string): string => `${root}/kubepods${QOS_DIRS[qos]}/pod${uid}`;
  const made = new Map<string, string>();
  let qosShares: string | undefined;
  return {
    async ensurePod(pod) {
      const uid = pod.metadata.uid!;
      const path = pathOf(qosOf(pod), uid);
      // CPUs of one's own bound better than a quota, which would only throttle (KEP-5084).
      const { cpuQuotaUs, ...others } = podLimits(pod);
      const limits = { ...others, ...(hasExclusiveCpus(uid) ? {} : { cpuQuotaUs }), ...(podPidsLimit > 0 ? { pids: podPidsLimit } : {}) };
      const key = `${path} ${JSON.stringify(limits)}`;
      if (made.get(uid) === key) return path;
      await hierarchy.create(path, limits);
      made.set(uid, key);
      return path;
    },
    groups: [`${root}/kubepods`, `${root}/kubepods${QOS_DIRS.Burstable}`, `${root}/kubepods${QOS_DIRS.BestEffort}`],
    pathOf: (pod) => pathOf(qosOf(pod), pod.metadata.uid!),
    containerPath: (podPath, id) => `${podPath}/${id}`,
    async enforceNodeAllocatable({ cpuMillis: millis, memoryBytes: memory, pids }) {
      await hierarchy.create(`${root}/kubepods`, { cpuShares: sharesOf(millis), memoryBytes: memory, pids });
    },
    async updateQos(pods) {
      const burstable = pods.filter((p) => qosOf(p) === 'Burstable').reduce((n, p) => n + cpuMillis(requestsOf(p)), 0);
      // Best effort gets what others leave; burstable Pods share what they have asked for together.
      const wanted = `${burstable}`;
      if (qosShares === wanted) return;
      await hierarchy.create(`${root}/kubepods/besteffort`, { cpuShares: sharesOf(0) });
      await hierarchy.create(`${root}/kubepods/burstable`, { cpuShares: sharesOf(burstable) });
      qosShares = wanted;
    },
    async removePod(uid) {
      made.delete(uid);
      for (const qos of Object.keys(QOS_DIRS) as QosClass[]) await hierarchy.remove(pathOf(qos, uid));
    },
    async listPods() {
      const lists = await Promise.all(Object.values(QOS_DIRS).map((d) => hierarchy.children(`${root}/kubepods${d}`)));
      return lists.flat().filter((n) => n.startsWith('pod')).map((n) => n.slice('pod'.length));
    },
  };
}

function requestsOf(pod: Pod): Record<string, string> {
  return Object.fromEntries(Array.from(podRequests(pod), ([k, v]) => [k, v.toString()]));
}
/** What the Pod as a whole may use: its own resources, else the sum of its containers' where each has a limit. */
export function podLimits(pod: Pod): CgroupLimits {
  const own = pod.spec.resources;
  const regular = pod.spec.containers;
  const sidecars = (pod.spec.initContainers ?? []).filter(isRestartableInit);
  const init = (pod.spec.initContainers ?? []).filter((c) => !isRestartableInit(c));
  const together = [...regular, ...sidecars];
  const most = (of: (list: Readonly<Record<string, string>> | undefined) => number, field: 'requests' | 'limits'): number => {
    if (own?.[field] && of(own[field])) return of(own[field]);
    const value = (c: (typeof together)[number]) => of(c.resources?.[field]) || (field === 'requests' ? of(c.resources?.limits) : 0);
    const sum = together.reduce((n, c) => n + value(c), 0);
    // Init containers run one at a time, before the others but beside the sidecars started so far.
    return Math.max(sum, ...init.map((c) => value(c) + sidecars.reduce((n, s) => n + value(s), 0)));
  };
  const all = [...together, ...init];
  const everyone = (of: (list: Readonly<Record<string, string>> | undefined) => number) => Boolean(own?.limits && of(own.limits)) || all.every((c) => of(c.resources?.limits) > 0);
  return {
    cpuShares: sharesOf(most(cpuMillis, 'requests')),
    ...(everyone(cpuMillis) ? { cpuQuotaUs: quotaOf(most(cpuMillis, 'limits')) } : {}),
    ...(everyone(memoryBytes) ? { memoryBytes: most(memoryBytes, 'limits') } : {}),
  };
}
