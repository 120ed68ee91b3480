/** APIService objects: those of the groups that this server has itself, and what they say about the others. Source: the API reference, APIService. */
import type { APIService, APIServiceCondition } from '#api/gen/apiregistration-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { rfc3339 } from '#base/clock.ts';

export const API_SERVICES = resourceOf('apiregistration.k8s.io', 'v1', 'apiservices');
/** Says that the server keeps the object: `onstart` from its start on, `true` as long as the group is there (custom resources). */
export const AUTO_MANAGED = 'kube-aggregator.kubernetes.io/automanaged';

/** The places of a group among groups and of a version in its group; higher is earlier. */
export interface Priority {
  readonly group: number;
  readonly version: number;
}
/** The groups that have a place of their own in discovery's order; clients take the first where groups share a short name. */
const PRIORITIES: Readonly<Record<string, Priority>> = {
  '/v1': { group: 18000, version: 1 },
  'apps/v1': { group: 17800, version: 15 },
  'events.k8s.io/v1': { group: 17750, version: 15 },
  'authentication.k8s.io/v1': { group: 17700, version: 15 },
  'authorization.k8s.io/v1': { group: 17600, version: 15 },
  'autoscaling/v1': { group: 17500, version: 15 },
  'autoscaling/v2': { group: 17500, version: 30 },
  'batch/v1': { group: 17400, version: 15 },
  'certificates.k8s.io/v1': { group: 17300, version: 15 },
  'certificates.k8s.io/v1beta1': { group: 17300, version: 9 },
  'networking.k8s.io/v1': { group: 17200, version: 15 },
  'networking.k8s.io/v1beta1': { group: 17200, version: 9 },
  'policy/v1': { group: 17100, version: 15 },
  'rbac.authorization.k8s.io/v1': { group: 17000, version: 15 },
  'storage.k8s.io/v1': { group: 16800, version: 15 },
  'storage.k8s.io/v1beta1': { group: 16800, version: 9 },
  'apiextensions.k8s.io/v1': { group: 16700, version: 15 },
  'admissionregistration.k8s.io/v1': { group: 16700, version: 15 },
  'admissionregistration.k8s.io/v1beta1': { group: 16700, version: 12 },
  'scheduling.k8s.io/v1': { group: 16600, version: 15 },
  'coordination.k8s.io/v1': { group: 16500, version: 15 },
  'node.k8s.io/v1': { group: 16300, version: 15 },
  'discovery.k8s.io/v1': { group: 16200, version: 15 },
  'flowcontrol.apiserver.k8s.io/v1': { group: 16100, version: 21 },
  'resource.k8s.io/v1': { group: 16200, version: 21 },
  'resource.k8s.io/v1beta2': { group: 16200, version: 15 },
};
const CUSTOM: Priority = { group: 1000, version: 100 };
/** The group of the APIServices has none of them itself, and stands before all others. */
const OWN: Priority = { group: 20_000, version: 100 };
/** Of a group and version that this server answers itself. */
export function localPriority(group: string, version: string): Priority {
  return group === API_SERVICES.group ? OWN : (PRIORITIES[`${group}/${version}`] ?? CUSTOM);
}

export const nameOf = (group: string, version: string): string => `${version}.${group}`;

/** The object for a group and version that this server answers itself. */
export function localApiService(group: string, version: string): APIService {
  const known = PRIORITIES[`${group}/${version}`];
  const priority = localPriority(group, version);
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: nameOf(group, version), labels: { [AUTO_MANAGED]: known ? 'onstart' : 'true' } },
    spec: { ...(group === '' ? {} : { group }), version, groupPriorityMinimum: priority.group, versionPriority: priority.version },
  };
}

export interface Availability {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}
export const isAvailable = (service: APIService): boolean => service.status?.conditions?.some((c) => c.type === 'Available' && c.status === 'True') ?? false;

/** The object with its condition; the argument itself when it says so already. */
export function withAvailability(service: APIService, { status, reason, message }: Availability, now: number): APIService {
  const conditions = service.status?.conditions ?? [];
  const before = conditions.find((c) => c.type === 'Available');
  if (before?.status === status && before.reason === reason && before.message === message) return service;
  const lastTransitionTime = before?.status === status && before.lastTransitionTime !== undefined ? before.lastTransitionTime : rfc3339(now);
  const condition: APIServiceCondition = { type: 'Available', status, lastTransitionTime, reason, message };
  return { ...service, status: { ...service.status, conditions: before ? conditions.map((c) => (c === before ? condition : c)) : [...conditions, condition] } };
}
