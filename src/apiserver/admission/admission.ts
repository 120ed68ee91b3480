/**
 * The admission plugins in upstream's order, which clients can see: defaults come before checks, webhooks see what built-in plugins
 * made, and quota is charged last. Source: the Kubernetes page "Admission Control"; kube-apiserver's default plugins.
 */
import type { KubeObject } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer, Loopback, ObjectReader } from '../interfaces.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';
import type { WebhookClient } from '../webhook/client.ts';
import { CertificateApproval } from './certificate-approval.ts';
import { CertificateSigning } from './certificate-signing.ts';
import { CertificateSubjectRestriction } from './certificate-subject-restriction.ts';
import { ClusterTrustBundleAttest } from './cluster-trust-bundle-attest.ts';
import { DefaultIngressClass } from './default-ingress-class.ts';
import { DefaultStorageClass } from './default-storage-class.ts';
import { DefaultTolerationSeconds } from './default-toleration-seconds.ts';
import { NO_EXPRESSIONS, type ExpressionCompiler } from './expressions.ts';
import { LimitRanger } from './limit-ranger.ts';
import { MutatingPolicy } from './mutating-policy.ts';
import { MutatingWebhook } from './mutating-webhook.ts';
import { AdmissionMetrics, type Measured } from './metrics.ts';
import { applierOf, normaliserOf } from './mutations.ts';
import { NamespaceLifecycle } from './namespace-lifecycle.ts';
import { NodeDeclaredFeatures } from './node-declared-features.ts';
import { NodeRestriction } from './node-restriction.ts';
import { PersistentVolumeClaimResize } from './persistent-volume-claim-resize.ts';
import { PodCertificateSigning } from './pod-certificate-signing.ts';
import { PodResize } from './pod-resize.ts';
import { PodSecurity, type PodSecurityOptions } from './pod-security.ts';
import { PodTopologyLabels } from './pod-topology-labels.ts';
import type { ResourceResolver } from './policy/params.ts';
import { Priority } from './priority.ts';
import { ReinvokingPlugins } from './reinvocation.ts';
import { ResourceQuota } from './resource-quota.ts';
import { RuntimeClass } from './runtime-class.ts';
import { ServiceAccount } from './service-account.ts';
import { StorageObjectInUseProtection } from './storage-object-in-use-protection.ts';
import { TaintNodesByCondition } from './taint-nodes-by-condition.ts';
import { ValidatingPolicy } from './validating-policy.ts';
import { ValidatingWebhook } from './validating-webhook.ts';

export interface AdmissionOptions {
  readonly reader: ObjectReader;
  readonly loopback: Loopback;
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** Fresh UUIDs. */
  readonly uid: () => string;
  readonly webhooks: WebhookClient;
  /** CEL. Absent: what needs it fails, by its failure policy. */
  readonly compiler?: ExpressionCompiler;
  /** What is served: mutated objects are decoded and defaulted by it, and apply configurations merged. Absent: objects are taken as they are. */
  readonly resources?: ResourceRegistry;
  /** The resource behind a kind, for parameters of policies. */
  readonly resolve: ResourceResolver;
  readonly podSecurity?: Pick<PodSecurityOptions, 'defaults' | 'exemptions'>;
  /** The check against privilege escalation, made with the authorizer. */
  readonly escalation?: AdmissionPlugin;
  /** Plugins to leave out, by name (`--disable-admission-plugins`). */
  readonly disabled?: readonly string[];
}
interface MeasuredOptions extends AdmissionOptions {
  readonly measured: Measured;
}
type Row = readonly [name: string, create: (o: MeasuredOptions) => AdmissionPlugin | undefined];

const compilerOf = (o: AdmissionOptions): ExpressionCompiler => o.compiler ?? NO_EXPRESSIONS;
const normaliser = (o: AdmissionOptions) => (o.resources ? { normalise: normaliserOf(o.resources) } : {});
const webhookServices = (o: MeasuredOptions) => ({ client: o.webhooks, reader: o.reader, compiler: compilerOf(o), authorizer: o.authorizer, uid: o.uid, resources: o.resources, measured: o.measured, ...normaliser(o) });
const policyServices = (o: MeasuredOptions) => ({ reader: o.reader, authorizer: o.authorizer, compiler: compilerOf(o), resolve: o.resolve, resources: o.resources, measured: o.measured });
function noApply(_object: KubeObject, _configuration: unknown, _a: AdmissionAttributes): KubeObject {
  throw new Error('this API server was built without apply configurations');
}

/** Every plugin, in order. */
export const ADMISSION_TABLE: readonly Row[] = [
  ['NamespaceLifecycle', (o) => new NamespaceLifecycle(o)],
  ['LimitRanger', (o) => new LimitRanger(o)],
  ['ServiceAccount', (o) => new ServiceAccount(o)],
  ['NodeRestriction', (o) => new NodeRestriction(o)],
  ['TaintNodesByCondition', () => new TaintNodesByCondition()],
  ['PodSecurity', (o) => new PodSecurity({ reader: o.reader, clock: o.clock, metrics: o.measured.metrics, ...o.podSecurity })],
  ['Priority', (o) => new Priority(o)],
  ['DefaultTolerationSeconds', () => new DefaultTolerationSeconds()],
  ['DefaultStorageClass', (o) => new DefaultStorageClass(o)],
  ['StorageObjectInUseProtection', () => new StorageObjectInUseProtection()],
  ['PersistentVolumeClaimResize', (o) => new PersistentVolumeClaimResize(o)],
  ['RuntimeClass', (o) => new RuntimeClass(o)],
  ['CertificateApproval', (o) => new CertificateApproval(o)],
  ['CertificateSigning', (o) => new CertificateSigning(o)],
  ['PodCertificateSigning', (o) => new PodCertificateSigning(o)],
  ['ClusterTrustBundleAttest', (o) => new ClusterTrustBundleAttest(o)],
  ['CertificateSubjectRestriction', () => new CertificateSubjectRestriction()],
  ['DefaultIngressClass', (o) => new DefaultIngressClass(o)],
  ['PodTopologyLabels', (o) => new PodTopologyLabels(o)],
  ['NodeDeclaredFeatureValidator', (o) => new NodeDeclaredFeatures(o)],
  ['PodResizeValidator', (o) => new PodResize(o)],
  ['MutatingAdmissionPolicy', (o) => new MutatingPolicy({ ...policyServices(o), applyConfiguration: o.resources ? applierOf(o.resources) : noApply, ...normaliser(o) })],
  ['MutatingAdmissionWebhook', (o) => new MutatingWebhook(webhookServices(o))],
  ['ValidatingAdmissionPolicy', (o) => new ValidatingPolicy(policyServices(o))],
  ['ValidatingAdmissionWebhook', (o) => new ValidatingWebhook(webhookServices(o))],
  ['RBACEscalation', (o) => o.escalation],
  ['ResourceQuota', (o) => new ResourceQuota(o)],
];

export interface Admission {
  /** For the admission chain: one plugin that runs all of them, with reinvocation. */
  readonly plugins: readonly AdmissionPlugin[];
  /** Names of those that are on, in order. */
  readonly names: readonly string[];
  /** In Prometheus' form. */
  metricsText(): string;
  stop(): void;
}
export function createAdmission(options: AdmissionOptions): Admission {
  const measured: Measured = { clock: options.clock, metrics: new AdmissionMetrics() };
  const plugins = ADMISSION_TABLE.flatMap(([name, create]) => (options.disabled?.includes(name) ? [] : (create({ ...options, measured }) ?? [])));
  return {
    plugins: [new ReinvokingPlugins(plugins, measured)],
    names: plugins.map((p) => p.name),
    metricsText: () => measured.metrics.text(),
    stop: () => {
      for (const plugin of plugins) (plugin as { stop?(): void }).stop?.();
    },
  };
}
