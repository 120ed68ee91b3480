/**
 * The figures to beat: Kubernetes v1.20.2 built from Debian's sources on the same kind of machine (2 cores). Absolute figures drift with
 * the machine: they give the scale; where two things are compared, both are measured in one run.
 */
export const BASELINE = {
  apiReadySeconds: 3.8,
  nodeReadySeconds: 16,
  firstPodSeconds: 17,
  onePodSeconds: '0.9–1.3',
  pods30LastSeconds: 4.2,
  pods100LastSeconds: 15.3,
  delete100Seconds: 19,
  createConfigMapPerSecond: 2968,
  createPodPerSecond: 1445,
  getPodPerSecond: 5650,
  list2000PerSecond: 22.9,
  list2000CachedPerSecond: 42.6,
  listSelectorPerSecond: 43,
  idleMegabytes: 600,
} as const;
