/** The checks that the level `restricted` adds: hardened Pods. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { containersOf } from '#api/pod-visitors.ts';
import { badSeccomp, procMount, seccompProfile } from './baseline.ts';
import { containerList, inUserNamespace, isWindows, joinQuote, offenders, plural, setters, sorted, type Check, type CheckPod } from './check.ts';

const exceptWindows = (check: CheckPod): CheckPod => (spec, metadata) => (isWindows(spec) ? undefined : check(spec, metadata));
const exceptUserNamespaces = (check: CheckPod): CheckPod => (spec, metadata) => (inUserNamespace(spec) ? undefined : check(spec, metadata));

const allowPrivilegeEscalation: CheckPod = (spec) => {
  const names = offenders(spec, (c) => c.securityContext?.allowPrivilegeEscalation !== false);
  return names.length ? { reason: 'allowPrivilegeEscalation != false', detail: `${containerList(names)} must set securityContext.allowPrivilegeEscalation=false` } : undefined;
};

const capabilities: CheckPod = (spec) => {
  const keepsSome = offenders(spec, (c) => !(c.securityContext?.capabilities?.drop ?? []).includes('ALL'));
  const added = (c: { readonly securityContext?: coreV1.SecurityContext | undefined }): string[] => (c.securityContext?.capabilities?.add ?? []).filter((name) => name !== 'NET_BIND_SERVICE');
  const adds = offenders(spec, (c) => added(c).length > 0);
  const details = [
    ...(keepsSome.length ? [`${containerList(keepsSome)} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(adds.length ? [`${containerList(adds)} must not include ${joinQuote(sorted(containersOf(spec).flatMap(added)))} in securityContext.capabilities.add`] : []),
  ];
  return details.length ? { reason: 'unrestricted capabilities', detail: details.join('; ') } : undefined;
};

const ALLOWED_VOLUMES = ['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'persistentVolumeClaim', 'projected', 'secret'] as const satisfies readonly (keyof coreV1.Volume)[];
const restrictedVolumes: CheckPod = (spec) => {
  const bad = (spec.volumes ?? []).filter((v) => !ALLOWED_VOLUMES.some((type) => v[type]));
  if (bad.length === 0) return undefined;
  const types = sorted(bad.map((v) => Object.keys(v).find((k) => k !== 'name' && v[k as keyof coreV1.Volume] !== undefined) ?? 'unknown'));
  return {
    reason: 'restricted volume types',
    detail: `${plural('volume', bad.length)} ${joinQuote(bad.map((v) => v.name))} ${plural('uses', bad.length, 'use')} ${plural('restricted volume type', types.length)} ${joinQuote(types)}`,
  };
};

const runAsNonRoot: CheckPod = (spec) => {
  const pod = spec.securityContext?.runAsNonRoot;
  const explicit = offenders(spec, (c) => c.securityContext?.runAsNonRoot === false);
  if (pod === false || explicit.length) return { reason: 'runAsNonRoot != true', detail: `${setters(pod === false, explicit)} must not set securityContext.runAsNonRoot=false` };
  const implicit = pod ? [] : offenders(spec, (c) => c.securityContext?.runAsNonRoot === undefined);
  return implicit.length ? { reason: 'runAsNonRoot != true', detail: `pod or ${containerList(implicit)} must set securityContext.runAsNonRoot=true` } : undefined;
};
const runAsUser: CheckPod = (spec) => {
  const pod = spec.securityContext?.runAsUser === 0;
  const names = offenders(spec, (c) => c.securityContext?.runAsUser === 0);
  return pod || names.length ? { reason: 'runAsUser=0', detail: `${setters(pod, names)} must not set runAsUser=0` } : undefined;
};
const seccompProfileSet: CheckPod = (spec, metadata) => {
  const explicit = seccompProfile(spec, metadata);
  if (explicit) return explicit;
  const pod = spec.securityContext?.seccompProfile;
  if (pod && !badSeccomp(pod)) return undefined;
  const implicit = offenders(spec, (c) => c.securityContext?.seccompProfile === undefined);
  return implicit.length ? { reason: 'seccompProfile', detail: `pod or ${containerList(implicit)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"` } : undefined;
};

const restricted = (id: string, overrides: readonly string[], ...versions: [since: number, check: CheckPod][]): Check => ({ id, level: 'restricted', versions: versions.map(([since, check]) => ({ since, check, overrides })) });
/** In the order in which findings are printed. */
export const RESTRICTED_CHECKS: readonly Check[] = [
  restricted('allowPrivilegeEscalation', [], [8, allowPrivilegeEscalation], [25, exceptWindows(allowPrivilegeEscalation)]),
  restricted('capabilities_restricted', ['capabilities_baseline'], [22, capabilities], [25, exceptWindows(capabilities)]),
  restricted('procMount_restricted', ['procMount'], [35, procMount]),
  restricted('restrictedVolumes', ['hostPathVolumes'], [0, restrictedVolumes]),
  restricted('runAsNonRoot', [], [0, runAsNonRoot], [35, exceptUserNamespaces(runAsNonRoot)]),
  restricted('runAsUser', [], [23, runAsUser], [35, exceptUserNamespaces(runAsUser)]),
  restricted('seccompProfile_restricted', ['seccompProfile_baseline'], [19, seccompProfileSet], [25, exceptWindows(seccompProfileSet)]),
];
