/** What a Pod's author may not have meant, though it is valid. Pods warn on creation, workloads whenever their spec changes. */
import type { Container, PersistentVolumeClaimSpec, PodAffinityTerm, PodSpec, PodTemplateSpec, Volume, WeightedPodAffinityTerm } from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { fieldPath, type FieldPath } from '#machinery/field-errors.ts';
import { warningsForIP } from '#machinery/ip.ts';
import { isDNS1123Label } from '#machinery/names.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { DEPRECATED_LABELS, termWarnings } from '../deprecated-labels.ts';
import { APPARMOR_ANNOTATION } from './apparmor-annotations.ts';
import { pathWarnings } from './path-overlaps.ts';
import { portWarnings } from './port-warnings.ts';

const OLD_VOLUMES = Object.entries<string>({
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  gitRepo: 'deprecated in v1.11, and disabled by default in v1.33+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
} satisfies Partial<Record<keyof Volume, string>>) as [keyof Volume, string][];
/** Volumes that warn by another name than their field's. */
const SHOWN_AS: Readonly<Record<string, string>> = { storageos: 'storageOS' };
const SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead';
const NO_SELECTOR = 'a null labelSelector results in matching no pod';

function labelWarnings(spec: PodSpec, path: FieldPath): string[] {
  const affinity = spec.affinity?.nodeAffinity;
  const at = path.child('affinity', 'nodeAffinity');
  const required = at.child('requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms');
  const preferred = at.child('preferredDuringSchedulingIgnoredDuringExecution');
  return [
    ...Object.keys(spec.nodeSelector ?? {}).toSorted().filter((key) => DEPRECATED_LABELS[key]).map((key) => `${path.child('nodeSelector').key(key).toString()}: ${DEPRECATED_LABELS[key]}`),
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []).flatMap((term, i) => termWarnings(term, required.index(i))),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ preference }, i) => termWarnings(preference, preferred.index(i).child('preference'))),
    ...(spec.topologySpreadConstraints ?? []).flatMap(({ topologyKey: key, labelSelector }, i) => {
      const constraint = path.child('topologySpreadConstraints').index(i);
      return [
        ...(DEPRECATED_LABELS[key] ? [`${constraint.child('topologyKey').toString()}: ${key} is ${DEPRECATED_LABELS[key]}`] : []),
        ...(labelSelector ? [] : [`${constraint.child('labelSelector').toString()}: ${NO_SELECTOR}`]),
      ];
    }),
  ];
}
function annotationWarnings({ metadata, spec }: PodTemplateSpec, path: FieldPath): string[] {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  return Object.keys(metadata?.annotations ?? {}).toSorted().flatMap((key) => {
    const at = `${path.child('metadata', 'annotations').key(key).toString()}: `;
    if (key === 'seccomp.security.alpha.kubernetes.io/pod' || key.startsWith('container.seccomp.security.alpha.kubernetes.io/')) return [at + SECCOMP];
    if (!key.startsWith(APPARMOR_ANNOTATION)) return [];
    const container = containers.find(({ name }) => name === key.slice(APPARMOR_ANNOTATION.length));
    const settled = container?.securityContext?.appArmorProfile ?? spec?.securityContext?.appArmorProfile;
    return container && !settled ? [`${at}deprecated since v1.30; use the "appArmorProfile" field instead`] : [];
  });
}
function fractionWarnings(list: Readonly<Record<string, string>> | undefined, name: string, path: FieldPath): string[] {
  const value = list?.[name];
  if (value === undefined || parseQuantity(value).milliValue() % 1000n === 0n) return [];
  return [`${path.key(name).toString()}: fractional byte value ${JSON.stringify(value)} is invalid, must be an integer`];
}
function resourceWarnings({ resources }: Container, path: FieldPath): string[] {
  return ['memory', 'ephemeral-storage'].flatMap((name) => (['limits', 'requests'] as const).flatMap((list) => fractionWarnings(resources?.[list], name, path.child('resources', list))));
}
/** `X=1, X=2` loses the first; `X=1, X=$(X),2` does not. */
function envWarnings({ env = [] }: Container, path: FieldPath): string[] {
  return env.flatMap(({ name, value = '', valueFrom }, i) => {
    if (env.findIndex((other) => other.name === name) >= i) return [];
    const own = `$(${name})`;
    const builds = !valueFrom && value !== own && value.includes(own);
    return builds ? [] : [`${path.child('env').index(i).toString()}: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`];
  });
}
function oldVolumeWarnings(volumes: readonly Volume[] | undefined, path: FieldPath): string[] {
  return (volumes ?? []).flatMap((volume, i) => {
    const at = path.child('volumes').index(i);
    const claim = volume.ephemeral?.volumeClaimTemplate?.spec;
    return [
      ...OLD_VOLUMES.filter(([kind]) => volume[kind]).map(([kind, text]) => `${at.child(SHOWN_AS[kind] ?? kind).toString()}: ${text}`),
      ...claimSpecWarnings(claim, at.child('ephemeral', 'volumeClaimTemplate', 'spec')),
    ];
  });
}
/** What is named twice in a list where once is meant. */
function repeatWarnings(values: readonly string[], path: FieldPath, field: string, text: string): string[] {
  return values.flatMap((value, i) => (values.indexOf(value) < i ? [`${path.index(i).child(field).toString()}: duplicate ${text} ${JSON.stringify(value)}`] : []));
}
function affinityWarnings({ affinity }: PodSpec, path: FieldPath): string[] {
  const warn = (term: PodAffinityTerm, at: FieldPath) => (term.labelSelector ? [] : [`${at.child('labelSelector').toString()}: ${NO_SELECTOR}`]);
  return (['podAffinity', 'podAntiAffinity'] as const).flatMap((kind) => {
    const at = path.child('affinity', kind);
    const required: readonly PodAffinityTerm[] = affinity?.[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    const preferred: readonly WeightedPodAffinityTerm[] = affinity?.[kind]?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
    return [
      ...required.flatMap((term, i) => warn(term, at.child('requiredDuringSchedulingIgnoredDuringExecution').index(i))),
      ...preferred.flatMap(({ podAffinityTerm }, i) => warn(podAffinityTerm, at.child('preferredDuringSchedulingIgnoredDuringExecution').index(i).child('podAffinityTerm'))),
    ];
  });
}
function specWarnings(spec: PodSpec, path: FieldPath): string[] {
  const containers = (['initContainers', 'containers'] as const).flatMap((list) => (spec[list] ?? []).map((container, i) => [container, path.child(list).index(i)] as const));
  const hosts = (spec.hostAliases ?? []).map(({ ip }) => ip);
  const secrets = (spec.imagePullSecrets ?? []).map(({ name = '' }) => name);
  const pull = path.child('imagePullSecrets');
  return [
    ...labelWarnings(spec, path),
    ...oldVolumeWarnings(spec.volumes, path),
    ...pathWarnings(spec.volumes),
    ...repeatWarnings(hosts, path.child('hostAliases'), 'ip', 'ip'),
    ...repeatWarnings(secrets, pull, 'name', 'name'),
    ...secrets.flatMap((name, i) => (name ? [] : [`${pull.index(i).child('name').toString()}: invalid empty name ""`])),
    ...['memory', 'ephemeral-storage'].flatMap((name) => fractionWarnings(spec.overhead, name, path.child('overhead'))),
    ...containers.flatMap(([container, at]) => [...resourceWarnings(container, at), ...envWarnings(container, at)]),
    ...portWarnings(containers),
    ...((spec.terminationGracePeriodSeconds ?? 0) < 0 ? [`${path.child('terminationGracePeriodSeconds').toString()}: must be >= 0; negative values are invalid and will be treated as 1`] : []),
    ...affinityWarnings(spec, path),
    ...(spec.dnsConfig?.nameservers ?? []).flatMap((server, i) => warningsForIP(path.child('dnsConfig', 'nameservers').index(i), server)),
    ...hosts.flatMap((ip, i) => warningsForIP(path.child('hostAliases').index(i).child('ip'), ip)),
  ];
}

/** Warnings of a template at a path, or of a whole Pod. */
export function templateWarnings(template: PodTemplateSpec | undefined, path = fieldPath()): string[] {
  return template?.spec ? [...specWarnings(template.spec, path.child('spec')), ...annotationWarnings(template, path)] : [];
}
/** Of a claim and of the claim templates of Pods and StatefulSets. */
export function claimSpecWarnings(spec: PersistentVolumeClaimSpec | undefined, path: FieldPath): string[] {
  return (['requests', 'limits'] as const).flatMap((list) => fractionWarnings(spec?.resources?.[list], 'storage', path.child('resources', list)));
}
/** A name that makes no host name of its own. */
export function hostNameWarnings(name: string | undefined, use: string): string[] {
  const messages = isDNS1123Label(name ?? '');
  return messages.length ? [`metadata.name: this is used in ${use}, which can result in surprising behavior; a DNS label is recommended: [${messages.join(' ')}]`] : [];
}
/** Of a new workload's name: its Pods take it. */
export function workloadNameWarnings(obj: KubeObject, old: KubeObject | undefined): string[] {
  return old ? [] : hostNameWarnings(obj.metadata.name, 'Pod names and hostnames');
}
/** An update that changes nothing of the spec repeats no warnings. */
export function sameGeneration(obj: KubeObject, old: KubeObject | undefined): boolean {
  return old !== undefined && obj.metadata.generation === old.metadata.generation;
}
/** The warnings of a workload with a template at a path. */
export function workloadWarnings<T extends KubeObject>(path: FieldPath, templateOf: (obj: T) => PodTemplateSpec | undefined): (obj: T, old: T | undefined) => string[] {
  return (obj, old) => [...workloadNameWarnings(obj, old), ...(sameGeneration(obj, old) ? [] : templateWarnings(templateOf(obj), path))];
}
