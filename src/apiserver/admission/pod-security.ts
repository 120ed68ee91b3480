/** PodSecurity: Pods must meet the standard that their namespace's labels ask for. Source: KEP-2579; the Kubernetes page "Pod Security Admission". */
import type * as batchV1 from '#api/gen/batch-v1.ts';
import type * as appsV1 from '#api/gen/apps-v1.ts';
import type * as coreV1 from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import { toAggregate } from '#machinery/field-errors.ts';
import { forbidden, internalError, invalid } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin, ObjectReader } from '../interfaces.ts';
import type { AdmissionMetrics } from './metrics.ts';
import { compareLevels, evaluate, findingsText, isFullyPrivileged, levelText, NEWEST, policyOf, PRIVILEGED_POLICY, sameLevel, type LevelVersion, type Mode, type Policy } from './pod-security/policy.ts';
import { oneOf } from './refusal.ts';

const NAMESPACES = resourceOf('', 'v1', 'namespaces');
const PODS = resourceOf('', 'v1', 'pods');
const PREFIX = 'pod-security.kubernetes.io/';
const IGNORED_SUBRESOURCES: ReadonlySet<string> = new Set(['exec', 'attach', 'binding', 'eviction', 'log', 'portforward', 'proxy', 'status']);
const MAX_PODS_TO_CHECK = 3000;
const MAX_CHECK_MS = 1000;

export interface PodSecurityOptions {
  readonly reader: ObjectReader;
  readonly clock: Clock;
  readonly metrics?: AdmissionMetrics;
  /** For namespaces without labels. Default: privileged. */
  readonly defaults?: Policy;
  readonly exemptions?: { readonly usernames?: readonly string[]; readonly runtimeClasses?: readonly string[]; readonly namespaces?: readonly string[] };
}

const templateOf: Readonly<Record<string, (o: unknown) => coreV1.PodTemplateSpec | undefined>> = {
  '/replicationcontrollers': (o) => (o as coreV1.ReplicationController).spec?.template,
  '/podtemplates': (o) => (o as coreV1.PodTemplate).template,
  'apps/replicasets': (o) => (o as appsV1.ReplicaSet).spec?.template,
  'apps/deployments': (o) => (o as appsV1.Deployment).spec?.template,
  'apps/statefulsets': (o) => (o as appsV1.StatefulSet).spec?.template,
  'apps/daemonsets': (o) => (o as appsV1.DaemonSet).spec?.template,
  'batch/jobs': (o) => (o as batchV1.Job).spec?.template,
  'batch/cronjobs': (o) => (o as batchV1.CronJob).spec?.jobTemplate?.spec?.template,
};

/** Only images of running Pods can change, and ephemeral containers be added. */
function isSignificant(pod: coreV1.PodSpec, old: coreV1.PodSpec): boolean {
  const changed = (now: readonly { readonly image?: string | undefined }[] = [], then: readonly { readonly image?: string | undefined }[] = []): boolean => now.length !== then.length || now.some((c, i) => c.image !== then[i]!.image);
  if (changed(pod.containers, old.containers) || changed(pod.initContainers, old.initContainers)) return true;
  return (pod.ephemeralContainers ?? []).some((c) => old.ephemeralContainers?.find((o) => o.name === c.name)?.image !== c.image);
}

/** How metrics call what is asked for: everything that makes Pods is a controller. */
function countedRequest({ operation, resource: { group, plural }, subresource }: AdmissionAttributes): Readonly<Record<'operation' | 'resource' | 'subresource', string>> {
  return { operation: operation.toLowerCase(), resource: group === '' && plural === 'pods' ? 'pod' : 'controller', subresource };
}

export class PodSecurity implements AdmissionPlugin {
  readonly name = 'PodSecurity';
  readonly handles = oneOf('CREATE', 'UPDATE');
  readonly #options: PodSecurityOptions;
  readonly #defaults: Policy;
  constructor(options: PodSecurityOptions) {
    this.#options = options;
    this.#defaults = options.defaults ?? PRIVILEGED_POLICY;
  }
  validate(a: AdmissionAttributes): void {
    const id = `${a.resource.group}/${a.resource.plural}`;
    if (id === '/namespaces') return this.#namespace(a);
    if (id === '/pods') return this.#pod(a);
    if (Object.hasOwn(templateOf, id)) return this.#controller(a, templateOf[id]!);
  }
  #namespace(a: AdmissionAttributes): void {
    if (a.subresource !== '') return;
    const namespace = a.object as coreV1.Namespace;
    const name = a.name || nameOf(namespace);
    const { policy, errors } = policyOf(namespace.metadata.labels, this.#defaults);
    const refuse = (): never => {
      throw invalid({ group: '', kind: 'Namespace' }, name, errors);
    };
    if (a.operation === 'CREATE') {
      if (errors.length) refuse();
      this.#warnExempt(a, name, policy);
      return;
    }
    const old = policyOf((a.oldObject as coreV1.Namespace).metadata.labels, this.#defaults);
    if (errors.length && (old.errors.length === 0 || toAggregate(errors) !== toAggregate(old.errors))) refuse();
    const [now, then] = [policy.enforce, old.policy.enforce];
    if (sameLevel(now, then) || now.level === 'privileged' || (now.version === then.version && compareLevels(now.level, then.level) < 1)) return;
    if (this.#exempts('namespaces', name)) return this.#warnExempt(a, name, policy);
    for (const warning of this.#violationsInNamespace(name, now)) a.warn(warning);
  }
  #pod(a: AdmissionAttributes): void {
    if (IGNORED_SUBRESOURCES.has(a.subresource) || this.#exemptRequest(a)) return;
    const namespace = this.#options.reader.get<coreV1.Namespace>(NAMESPACES, '', a.namespace);
    if (!namespace) throw internalError(`failed to lookup namespace ${JSON.stringify(a.namespace)}`);
    const { policy, errors } = policyOf(namespace.metadata.labels, this.#defaults);
    if (errors.length === 0 && isFullyPrivileged(policy)) {
      a.annotate(`${PREFIX}enforce-policy`, levelText(PRIVILEGED_POLICY.enforce));
      this.#count(a, 'allow', policy.enforce, 'enforce');
      return;
    }
    const pod = a.object as coreV1.Pod;
    if (!pod.spec) return;
    if (a.operation === 'UPDATE' && !isSignificant(pod.spec, (a.oldObject as coreV1.Pod).spec ?? { containers: [] })) return;
    if (errors.length) a.annotate(`${PREFIX}error`, `Failed to parse policy: ${toAggregate(errors)}`);
    this.#evaluate(a, policy, pod.metadata, pod.spec, true);
  }
  #controller(a: AdmissionAttributes, template: (o: unknown) => coreV1.PodTemplateSpec | undefined): void {
    if (a.subresource !== '' || this.#exemptRequest(a)) return;
    const namespace = this.#options.reader.get<coreV1.Namespace>(NAMESPACES, '', a.namespace);
    if (!namespace) return a.annotate(`${PREFIX}error`, `failed to lookup namespace ${JSON.stringify(a.namespace)}`);
    const { policy, errors } = policyOf(namespace.metadata.labels, this.#defaults);
    if (errors.length === 0 && policy.warn.level === 'privileged' && policy.audit.level === 'privileged') return;
    const found = template(a.object);
    if (!found?.spec) return;
    if (errors.length) a.annotate(`${PREFIX}error`, `Failed to parse policy: ${toAggregate(errors)}`);
    this.#evaluate(a, policy, found.metadata ?? {}, found.spec, false);
  }
  #evaluate(a: AdmissionAttributes, policy: Policy, metadata: NonNullable<coreV1.PodTemplateSpec['metadata']>, spec: coreV1.PodSpec, enforce: boolean): void {
    if (spec.runtimeClassName && this.#exempts('runtimeClasses', spec.runtimeClassName)) return this.#exempt(a, 'runtimeClass');
    const cached = new Map<string, string>();
    const violations = (at: LevelVersion): string => cached.getOrInsertComputed(levelText(at), () => findingsText(evaluate(at, metadata, spec)));
    if (enforce) a.annotate(`${PREFIX}enforce-policy`, levelText(policy.enforce));
    const audit = violations(policy.audit);
    if (audit !== '') {
      a.annotate(`${PREFIX}audit-violations`, `would violate PodSecurity "${levelText(policy.audit)}": ${audit}`);
      this.#count(a, 'deny', policy.audit, 'audit');
    }
    const enforced = enforce ? violations(policy.enforce) : '';
    if (enforce) this.#count(a, enforced === '' ? 'allow' : 'deny', policy.enforce, 'enforce');
    if (enforced !== '') throw forbidden({ group: a.resource.group, resource: a.resource.plural }, a.name || (a.object?.metadata.name ?? ''), `violates PodSecurity "${levelText(policy.enforce)}": ${enforced}`);
    const warn = violations(policy.warn);
    if (warn === '') return;
    a.warn(`would violate PodSecurity "${levelText(policy.warn)}": ${warn}`);
    this.#count(a, 'deny', policy.warn, 'warn');
  }
  #count(a: AdmissionAttributes, decision: 'allow' | 'deny', { level, version }: LevelVersion, mode: Mode): void {
    // What is privileged is so in every version.
    const shown = version === 'latest' || level === 'privileged' ? 'latest' : version > NEWEST ? 'future' : `v1.${version}`;
    this.#options.metrics?.podSecurity(decision, { level, version: shown }, mode, countedRequest(a));
  }
  #exempt(a: AdmissionAttributes, by: string): void {
    a.annotate(`${PREFIX}exempt`, by);
    this.#options.metrics?.podSecurityExemption(countedRequest(a));
  }
  #exempts(what: 'usernames' | 'runtimeClasses' | 'namespaces', name: string): boolean {
    return this.#options.exemptions?.[what]?.includes(name) ?? false;
  }
  #exemptRequest(a: AdmissionAttributes): boolean {
    const by = this.#exempts('namespaces', a.namespace) ? 'namespace' : this.#exempts('usernames', a.user.name) ? 'user' : undefined;
    if (by) this.#exempt(a, by);
    return by !== undefined;
  }
  #warnExempt(a: AdmissionAttributes, name: string, policy: Policy): void {
    if (!this.#exempts('namespaces', name) || isFullyPrivileged(policy)) return;
    const labels = (a.object as coreV1.Namespace).metadata.labels ?? {};
    const set = (['enforce', 'audit', 'warn'] as const)
      .filter((mode) => policy[mode].level !== 'privileged' && (labels[PREFIX + mode] !== undefined || labels[`${PREFIX}${mode}-version`] !== undefined))
      .map((mode) => `${mode}=${levelText(policy[mode])}`);
    if (set.length) a.warn(`namespace ${JSON.stringify(name)} is exempt from Pod Security, and the policy (${set.join(', ')}) will be ignored`);
  }
  /** What Pods that run already would violate: told, not refused. One Pod of each controller first. */
  #violationsInNamespace(namespace: string, enforce: LevelVersion): string[] {
    const { reader, clock } = this.#options;
    const pods = oneOfEachController(reader.list<coreV1.Pod>(PODS, namespace).filter((p) => !p.spec?.runtimeClassName || !this.#exempts('runtimeClasses', p.spec.runtimeClassName)));
    const end = clock.monotonic() + MAX_CHECK_MS;
    const found = new Map<string, string[]>();
    let checked = 0;
    for (const pod of pods.slice(0, MAX_PODS_TO_CHECK)) {
      const reasons = pod.spec ? evaluate(enforce, pod.metadata, pod.spec).map((f) => f.reason).join(', ') : '';
      if (reasons !== '') found.getOrInsertComputed(reasons, () => []).push(nameOf(pod));
      checked++;
      if (clock.monotonic() > end) break;
    }
    const warnings = checked < pods.length ? [`new PodSecurity enforce level only checked against the first ${checked} of ${pods.length} existing pods`] : [];
    if (found.size) warnings.push(`existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level "${levelText(enforce)}"`);
    const lines = [...found].map(([reasons, names]) => {
      const others = names.length - 1;
      return `${names.toSorted()[0]!}${others === 0 ? '' : ` (and ${others} other pod${others === 1 ? '' : 's'})`}: ${reasons}`;
    });
    return [...warnings, ...lines.toSorted()];
  }
}
function oneOfEachController(pods: readonly coreV1.Pod[]): coreV1.Pod[] {
  const seen = new Set<string>();
  const [first, more]: [coreV1.Pod[], coreV1.Pod[]] = [[], []];
  for (const pod of pods) {
    const uid = pod.metadata.ownerReferences?.find((o) => o.controller)?.uid;
    (uid !== undefined && seen.has(uid) ? more : first).push(pod);
    if (uid !== undefined) seen.add(uid);
  }
  return [...first, ...more];
}
