/** What a Pod's author may not have meant, though it is valid. Pods warn on creation, workloads whenever their spec changes. */
import type { Container, ContainerPort, NodeSelectorTerm, PodSpec, PodTemplateSpec, Volume } from '#api/gen/core-v1.ts';
import { fieldPath, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { StrategyContext } from '../../../registry/strategy.ts';
import { semanticEqual } from '#machinery/equality.ts';

const since = (release: string, label: string) => `deprecated since ${release}; use ${JSON.stringify(label)} instead`;
const OLD_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': since('v1.14', 'kubernetes.io/arch'),
  'beta.kubernetes.io/os': since('v1.14', 'kubernetes.io/os'),
  'failure-domain.beta.kubernetes.io/region': since('v1.17', 'topology.kubernetes.io/region'),
  'failure-domain.beta.kubernetes.io/zone': since('v1.17', 'topology.kubernetes.io/zone'),
  'beta.kubernetes.io/instance-type': since('v1.17', 'node.kubernetes.io/instance-type'),
};
const OLD_VOLUMES = Object.entries<string>({
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  gitRepo: 'deprecated in v1.11',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
} satisfies Partial<Record<keyof Volume, string>>) as [keyof Volume, string][];
const SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead';
const APPARMOR_PREFIX = 'container.apparmor.security.beta.kubernetes.io/';

function termWarnings(term: NodeSelectorTerm | undefined, path: FieldPath): string[] {
  return (term?.matchExpressions ?? []).flatMap(({ key }, i) => (OLD_LABELS[key] ? [`${path.child('matchExpressions').index(i).child('key').toString()}: ${key} is ${OLD_LABELS[key]}`] : []));
}
function labelWarnings(spec: PodSpec, path: FieldPath): string[] {
  const affinity = spec.affinity?.nodeAffinity;
  const at = path.child('affinity', 'nodeAffinity');
  const required = at.child('requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms');
  const preferred = at.child('preferredDuringSchedulingIgnoredDuringExecution');
  return [
    ...Object.keys(spec.nodeSelector ?? {}).toSorted().filter((key) => OLD_LABELS[key]).map((key) => `${path.child('nodeSelector').key(key).toString()}: ${OLD_LABELS[key]}`),
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? []).flatMap((term, i) => termWarnings(term, required.index(i))),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap(({ preference }, i) => termWarnings(preference, preferred.index(i).child('preference'))),
    ...(spec.topologySpreadConstraints ?? []).flatMap(({ topologyKey: key }, i) =>
      OLD_LABELS[key] ? [`${path.child('topologySpreadConstraints').index(i).child('topologyKey').toString()}: ${key} is ${OLD_LABELS[key]}`] : []),
  ];
}
function annotationWarnings({ metadata, spec }: PodTemplateSpec, path: FieldPath): string[] {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  return Object.keys(metadata?.annotations ?? {}).toSorted().flatMap((key) => {
    const at = `${path.child('metadata', 'annotations').key(key).toString()}: `;
    if (key === 'seccomp.security.alpha.kubernetes.io/pod' || key.startsWith('container.seccomp.security.alpha.kubernetes.io/')) return [at + SECCOMP];
    if (!key.startsWith(APPARMOR_PREFIX)) return [];
    const container = containers.find(({ name }) => name === key.slice(APPARMOR_PREFIX.length));
    const settled = container?.securityContext?.appArmorProfile ?? spec?.securityContext?.appArmorProfile;
    return container && !settled ? [`${at}deprecated since v1.30; use the "appArmorProfile" field instead`] : [];
  });
}
function resourceWarnings({ resources }: Container, path: FieldPath): string[] {
  return (['limits', 'requests'] as const).flatMap((list) =>
    ['ephemeral-storage', 'memory'].flatMap((name) => {
      const value = resources?.[list]?.[name];
      if (value === undefined || parseQuantity(value).milliValue() % 1000n === 0n) return [];
      return [`${path.child('resources', list).key(name).toString()}: fractional byte value ${JSON.stringify(value)} is invalid, must be an integer`];
    }),
  );
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
interface PlacedPort {
  readonly port: ContainerPort;
  readonly at: string;
}
function portWarnings(containers: readonly (readonly [container: Container, path: FieldPath])[]): string[] {
  const seen: PlacedPort[] = [];
  return containers.flatMap(([container, path]) =>
    (container.ports ?? []).flatMap((port, i) => {
      const at = path.child('ports').index(i).toString();
      const same = seen.find(({ port: other }) => (['containerPort', 'protocol', 'hostIP', 'hostPort'] as const).every((field) => (other[field] ?? '') === (port[field] ?? '')));
      seen.push({ port, at });
      return same ? [`${at}: duplicate port definition with ${same.at}`] : [];
    }),
  );
}
function specWarnings(spec: PodSpec, path: FieldPath): string[] {
  const containers = (['initContainers', 'containers'] as const).flatMap((list) => (spec[list] ?? []).map((container, i) => [container, path.child(list).index(i)] as const));
  const grace = spec.terminationGracePeriodSeconds ?? 0;
  return [
    ...labelWarnings(spec, path),
    ...(spec.volumes ?? []).flatMap((volume, i) => OLD_VOLUMES.filter(([kind]) => volume[kind]).map(([kind, text]) => `${path.child('volumes').index(i).child(kind).toString()}: ${text}`)),
    ...(spec.imagePullSecrets ?? []).flatMap(({ name }, i) => (name ? [] : [`${path.child('imagePullSecrets').index(i).child('name').toString()}: invalid empty name ""`])),
    ...containers.flatMap(([container, at]) => [...resourceWarnings(container, at), ...envWarnings(container, at)]),
    ...portWarnings(containers),
    ...(grace < 0 ? [`${path.child('terminationGracePeriodSeconds').toString()}: must be >= 0; negative values are invalid and will be treated as 1`] : []),
  ];
}

/** Warnings of a template at a path, or of a whole Pod. */
export function templateWarnings(template: PodTemplateSpec | undefined, path = fieldPath()): string[] {
  return template?.spec ? [...specWarnings(template.spec, path.child('spec')), ...annotationWarnings(template, path)] : [];
}

interface Checks<T> {
  validate(obj: T, ctx: StrategyContext): readonly FieldError[];
  validateUpdate(obj: T, old: T, ctx: StrategyContext): readonly FieldError[];
}
/** The checks of a workload, with warnings of its template when that is new or not what it was. */
export function warningOfTemplate<T>(path: FieldPath, templateOf: (obj: T) => PodTemplateSpec | undefined, checks: Checks<T>): Checks<T> {
  const warn = (obj: T, ctx: StrategyContext) => templateWarnings(templateOf(obj), path).forEach((warning) => ctx.warn(warning));
  return {
    validate(obj, ctx) {
      warn(obj, ctx);
      return checks.validate(obj, ctx);
    },
    validateUpdate(obj, old, ctx) {
      if (!semanticEqual(templateOf(obj), templateOf(old))) warn(obj, ctx);
      return checks.validateUpdate(obj, old, ctx);
    },
  };
}
