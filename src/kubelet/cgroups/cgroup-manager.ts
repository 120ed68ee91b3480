/** Cgroups of Pods: `<root>/kubepods[/burstable|/besteffort]/pod<uid>`, never outside of the node's own root, by whichever driver. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { CgroupManager } from '../interfaces.ts';
import { isRestartableInit } from '../pods/containers.ts';
import { podRequests } from '../pods/admission.ts';
import { cpuMillis, memoryBytes, qosOf, type QosClass } from '../pods/qos.ts';
import { quotaOf, sharesOf } from '../runtime/linux-resources.ts';
import type { CgroupDriver } from './driver.ts';
import type { CgroupLimits } from './hierarchy.ts';

/** Names below `kubepods`. */
const QOS_GROUPS: Readonly<Record<QosClass, readonly string[]>> = { Guaranteed: [], Burstable: ['burstable'], BestEffort: ['besteffort'] };
const POD_PREFIX = 'pod';

export interface CgroupManagerOptions {
  /** Asked at each use: the runtime may say at the start which one it is to be. */
  driver(): CgroupDriver;
  /** A path of plain names: `/podyard`. */
  readonly root: string;
  /** 0: no limit. */
  readonly podPidsLimit?: number;
  hasExclusiveCpus?(uid: string): boolean;
  /** Whose requests the class of burstable Pods has together, as soon as one comes or changes. */
  activePods?(): readonly Pod[];
  /** Sizes of huge pages that the machine counts, as the control files name them: `2MB`. */
  hugePageSizes?(): readonly string[];
}

export function newCgroupManager({ driver, root, podPidsLimit = 0, hasExclusiveCpus = () => false, activePods, hugePageSizes = () => [] }: CgroupManagerOptions): CgroupManager {
  const all = [...root.split('/').filter(Boolean), 'kubepods'];
  const classOf = (qos: QosClass): readonly string[] => [...all, ...QOS_GROUPS[qos]];
  const podOf = (qos: QosClass, uid: string): readonly string[] => [...classOf(qos), `${POD_PREFIX}${uid}`];
  const made = new Map<string, { readonly path: string; readonly limits: CgroupLimits }>();
  let burstableMillis: number | undefined;
  let changingClasses: Promise<void> = Promise.resolve();
  async function updateClasses(pods: readonly Pod[]): Promise<void> {
    const sum = pods.filter((p) => qosOf(p) === 'Burstable').reduce((n, p) => n + cpuMillis(requestsOf(p)), 0);
    if (burstableMillis === sum) return;
    // Best effort gets what others leave; burstable Pods share what they have asked for together.
    if (burstableMillis === undefined) await driver().create(classOf('BestEffort'), { cpuShares: sharesOf(0) });
    await driver().create(classOf('Burstable'), { cpuShares: sharesOf(sum) });
    burstableMillis = sum;
  }
  /** One change at a time: what was asked for last stays. */
  const updateQos = (pods: readonly Pod[]): Promise<void> => {
    const change = changingClasses.then(() => updateClasses(pods));
    changingClasses = change.catch(() => {});
    return change;
  };
  return {
    async ensurePod(pod, { raiseOnly = false } = {}) {
      const uid = pod.metadata.uid!;
      const names = podOf(qosOf(pod), uid);
      const path = driver().pathOf(names);
      // CPUs of one's own bound better than a quota, which would only throttle (KEP-5084).
      const { cpuQuotaUs, ...others } = podLimits(pod);
      const sizes = hugePageSizes();
      const wanted = { ...others, ...(hasExclusiveCpus(uid) ? {} : { cpuQuotaUs }), ...(podPidsLimit > 0 ? { pids: podPidsLimit } : {}), ...(sizes.length > 0 ? { hugePages: podHugePages(pod, sizes) } : {}) };
      const before = made.get(uid);
      const limits = raiseOnly && before ? larger(before.limits, wanted) : wanted;
      if (before?.path === path && JSON.stringify(before.limits) === JSON.stringify(limits)) return path;
      if (activePods) await updateQos(activePods());
      await driver().create(names, limits);
      made.set(uid, { path, limits });
      return path;
    },
    get groups() {
      return (['Guaranteed', 'Burstable', 'BestEffort'] as const).map((qos) => driver().pathOf(classOf(qos)));
    },
    pathOf: (pod) => driver().pathOf(podOf(qosOf(pod), pod.metadata.uid!)),
    containerPath: (podPath, id) => driver().containerPath(podPath, id),
    async enforceNodeAllocatable({ cpuMillis: millis, memoryBytes: memory, pids }) {
      await driver().create(all, { cpuShares: sharesOf(millis), memoryBytes: memory, pids });
    },
    updateQos,
    async removePod(uid) {
      made.delete(uid);
      const classes = await Promise.all((Object.keys(QOS_GROUPS) as QosClass[]).map(async (qos) => ({ qos, here: (await driver().children(classOf(qos))).includes(`${POD_PREFIX}${uid}`) })));
      for (const { qos } of classes.filter(({ here }) => here)) await driver().remove(podOf(qos, uid));
    },
    async listPods() {
      const lists = await Promise.all((Object.keys(QOS_GROUPS) as QosClass[]).map((qos) => driver().children(classOf(qos))));
      return lists.flat().filter((n) => n.startsWith(POD_PREFIX)).map((n) => n.slice(POD_PREFIX.length));
    },
  };
}

/** Of each limit the larger one; those of huge pages never change. */
function larger(a: CgroupLimits, b: CgroupLimits): CgroupLimits {
  const most = (field: Exclude<keyof CgroupLimits, 'hugePages'>): CgroupLimits => (b[field] === undefined ? {} : { [field]: Math.max(a[field] ?? 0, b[field]) });
  return { ...most('cpuShares'), ...most('cpuQuotaUs'), ...most('memoryBytes'), ...most('pids'), ...(b.hugePages ? { hugePages: b.hugePages } : {}) };
}
function requestsOf(pod: Pod): Record<string, string> {
  return Object.fromEntries(Array.from(podRequests(pod), ([k, v]) => [k, v.toString()]));
}
/** Bytes of huge pages of each size that a Pod as a whole may use: what it asks for, and none of the others. */
function podHugePages(pod: Pod, sizes: readonly string[]): Record<string, number> {
  const requests = podRequests(pod);
  return Object.fromEntries(sizes.map((size) => [size, Number(requests.get(`hugepages-${size.replace(/B$/, 'i')}`)?.value() ?? 0)]));
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
