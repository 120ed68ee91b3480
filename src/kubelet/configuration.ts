/**
 * `KubeletConfiguration` of `kubelet.config.k8s.io/v1beta1`: what a user may choose of a node, read from a file, and shown again by
 * `/configz`. Source: the reference page "Kubelet Configuration (v1beta1)". A field that is not here is refused.
 */
import { formatDurationMs, parseDurationMs } from '#machinery/duration.ts';
import { fieldPath, forbiddenField, invalidValue, notSupported, toAggregate, type FieldError } from '#machinery/field-errors.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { parseYaml } from '#machinery/yaml.ts';
import type { KubeletConfig } from './config.ts';
import { formatCpuSet, parseCpuSet } from './cpumanager/cpu-set.ts';
import { validateConfig } from './config-validation.ts';
import { TOPOLOGY_POLICIES } from './topologymanager/policy.ts';

const API_VERSION = 'kubelet.config.k8s.io/v1beta1';
const KIND = 'KubeletConfiguration';

interface Field {
  /** Throws an Error with what is wrong. */
  read(value: unknown): Partial<KubeletConfig>;
  write(config: KubeletConfig): unknown;
}
type Of<T> = (value: unknown) => T;
type Map = Readonly<Record<string, string>>;

function of<T>(is: (value: unknown) => boolean, what: string): Of<T> {
  return (value) => {
    if (!is(value)) throw new Error(`must be ${what}`);
    return value as T;
  };
}
const string = of<string>((v) => typeof v === 'string', 'a string');
const bool = of<boolean>((v) => typeof v === 'boolean', 'a boolean');
const count = of<number>((v) => Number.isSafeInteger(v) && (v as number) >= 0, 'an integer that is not negative');
const strings = of<readonly string[]>((v) => Array.isArray(v) && v.every((x) => typeof x === 'string'), 'a list of strings');
const record = of<Readonly<Record<string, unknown>>>((v) => typeof v === 'object' && v !== null && !Array.isArray(v), 'a map');
const duration: Of<number> = (v) => parseDurationMs(string(v));
const texts: Of<Map> = (v) => Object.fromEntries(Object.entries(record(v)).map(([k, x]) => [k, string(x)]));
const quantities: Of<Map> = (v) => {
  const out = texts(v);
  for (const text of Object.values(out)) parseQuantity(text);
  return out;
};
const oneOf = <T extends string>(...values: readonly T[]): Of<T> => of<T>((v) => (values as readonly unknown[]).includes(v), values.map((x) => `"${x}"`).join(' or '));
const graces: Of<KubeletConfig['shutdownGraceByPriority']> = (v) => of<readonly unknown[]>(Array.isArray, 'a list')(v).map((row) => {
  const { priority, shutdownGracePeriodSeconds } = record(row);
  return { priority: of<number>(Number.isSafeInteger, 'an integer')(priority), seconds: count(shutdownGracePeriodSeconds) };
});

const reservations: Of<KubeletConfig['reservedMemory']> = (v) => of<readonly unknown[]>(Array.isArray, 'a list')(v).map((row) => {
  const { numaNode, limits } = record(row);
  return { numaNode: count(numaNode), limits: quantities(limits ?? {}) };
});

/** A field that is kept as it is. */
function plain<K extends keyof KubeletConfig>(key: K, read: Of<KubeletConfig[K]>, write: (value: KubeletConfig[K]) => unknown = (v) => v): Field {
  return { read: (v) => ({ [key]: read(v) }) as Partial<KubeletConfig>, write: (c) => write(c[key]) };
}
/** A field that may only say what is so anyway. */
function fixed(value: unknown, why: string): Field {
  return {
    read(v) {
      if (v !== value) throw new Error(`must be ${JSON.stringify(value)}: ${why}`);
      return {};
    },
    write: () => value,
  };
}
const FIELDS: Readonly<Record<string, Field>> = {
  maxPods: plain('maxPods', count),
  podPidsLimit: { read: (v) => ({ podPidsLimit: Math.max(0, of<number>(Number.isSafeInteger, 'an integer')(v)) }), write: (c) => c.podPidsLimit || -1 },
  cgroupDriver: plain('cgroupDriver', oneOf('cgroupfs', 'systemd')),
  cpuManagerPolicy: plain('cpuManagerPolicy', oneOf('none', 'static')),
  cpuManagerReconcilePeriod: plain('cpuManagerReconcilePeriodMs', duration, formatDurationMs),
  cpuManagerPolicyOptions: plain('cpuManagerPolicyOptions', texts),
  memoryManagerPolicy: plain('memoryManagerPolicy', oneOf('None', 'Static')),
  reservedMemory: plain('reservedMemory', reservations),
  topologyManagerPolicy: plain('topologyManagerPolicy', oneOf(...TOPOLOGY_POLICIES)),
  topologyManagerScope: plain('topologyManagerScope', oneOf('container', 'pod')),
  topologyManagerPolicyOptions: plain('topologyManagerPolicyOptions', texts),
  reservedSystemCPUs: plain('reservedSystemCPUs', (v) => formatCpuSet(parseCpuSet(string(v)))),
  systemReserved: plain('systemReserved', quantities),
  kubeReserved: plain('kubeReserved', quantities),
  enforceNodeAllocatable: { read: (v) => ({ enforceNodeAllocatable: strings(v).filter((x) => x !== 'none').map(oneOf('pods')) }), write: (c) => (c.enforceNodeAllocatable.length ? c.enforceNodeAllocatable : ['none']) },
  evictionHard: plain('evictionHard', texts),
  evictionSoft: plain('evictionSoft', texts),
  evictionSoftGracePeriod: plain('evictionSoftGracePeriodMs', (v) => Object.fromEntries(Object.entries(texts(v)).map(([k, x]) => [k, parseDurationMs(x)])), (v) => Object.fromEntries(Object.entries(v).map(([k, ms]) => [k, formatDurationMs(ms)]))),
  evictionMinimumReclaim: plain('evictionMinimumReclaim', texts),
  evictionMaxPodGracePeriod: plain('evictionMaxPodGraceSeconds', count),
  evictionPressureTransitionPeriod: plain('evictionPressureTransitionMs', duration, formatDurationMs),
  imageGCHighThresholdPercent: plain('imageGCHighThresholdPercent', count),
  imageGCLowThresholdPercent: plain('imageGCLowThresholdPercent', count),
  containerLogMaxSize: plain('containerLogMaxBytes', (v) => Number(parseQuantity(string(v)).value()), (bytes) => (bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20}Mi` : String(bytes))),
  containerLogMaxFiles: plain('containerLogMaxFiles', count),
  imagePullCredentialsVerificationPolicy: plain('imagePullCredentialsVerificationPolicy', oneOf('NeverVerify', 'NeverVerifyPreloadedImages', 'NeverVerifyAllowlistedImages', 'AlwaysVerify')),
  preloadedImagesVerificationAllowlist: plain('preloadedImagesVerificationAllowlist', strings),
  maxParallelImagePulls: plain('maxParallelImagePulls', count),
  serializeImagePulls: { read: (v) => (bool(v) ? { maxParallelImagePulls: 1 } : {}), write: (c) => c.maxParallelImagePulls === 1 },
  allowedUnsafeSysctls: plain('allowedUnsafeSysctls', strings),
  resolvConf: plain('resolvConf', string),
  nodeStatusUpdateFrequency: plain('nodeStatusUpdateFrequencyMs', duration, formatDurationMs),
  nodeLeaseDurationSeconds: plain('nodeLeaseDurationSeconds', count),
  shutdownGracePeriod: plain('shutdownGraceMs', duration, formatDurationMs),
  shutdownGracePeriodCriticalPods: plain('shutdownGraceCriticalMs', duration, formatDurationMs),
  shutdownGracePeriodByPodPriority: plain('shutdownGraceByPriority', graces, (rows) => rows.map(({ priority, seconds }) => ({ priority, shutdownGracePeriodSeconds: seconds }))),
  enableSystemLogHandler: plain('systemLogHandler', bool),
  failSwapOn: fixed(false, 'swap is neither asked for nor given to Pods'),
};
const SHOWN: Readonly<Record<string, (config: KubeletConfig) => unknown>> = {
  staticPodPath: (c) => c.staticPodDir ?? '', port: (c) => c.port, clusterDomain: (c) => c.clusterDomain, clusterDNS: (c) => c.clusterDNS, cgroupRoot: (c) => c.cgroupRoot, registerWithTaints: (c) => c.taints,
};

/** What a file chooses. Throws an Error that names every field that cannot be used. */
export function parseKubeletConfiguration(text: string): Partial<KubeletConfig> {
  const { apiVersion, kind, ...fields } = record(parseYaml(text, { strict: true }) ?? {});
  const errors: FieldError[] = [];
  if (apiVersion !== API_VERSION) errors.push(notSupported(fieldPath('apiVersion'), String(apiVersion ?? ''), [API_VERSION]));
  if (kind !== KIND) errors.push(notSupported(fieldPath('kind'), String(kind ?? ''), [KIND]));
  const out: Partial<KubeletConfig> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (!Object.hasOwn(FIELDS, name)) {
      errors.push(forbiddenField(fieldPath(name), Object.hasOwn(SHOWN, name) ? 'follows from the cluster and cannot be chosen' : 'not a field that Podyard knows'));
      continue;
    }
    try {
      Object.assign(out, FIELDS[name]!.read(value));
    } catch (err) {
      errors.push(invalidValue(fieldPath(name), value, (err as Error).message));
    }
  }
  errors.push(...(errors.length ? [] : validateConfig(out)));
  if (errors.length > 0) throw new Error(toAggregate(errors));
  return out;
}
/** The object of `/configz`. */
export function kubeletConfiguration(config: KubeletConfig): Record<string, unknown> {
  const rows = [...Object.entries(FIELDS).map(([name, f]) => [name, f.write(config)] as const), ...Object.entries(SHOWN).map(([name, of]) => [name, of(config)] as const)];
  return { kind: KIND, apiVersion: API_VERSION, ...Object.fromEntries(rows.toSorted(([a], [b]) => (a < b ? -1 : 1))) };
}
