/**
 * ServiceAccount: every Pod runs as an account that exists, and its containers find that account's token, the cluster's CA and the
 * namespace under `/var/run/secrets/kubernetes.io/serviceaccount`. Source: the Kubernetes page "Managing Service Accounts".
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { configMapNamesOf, containersOf, secretNamesOf } from '#api/pod-visitors.ts';
import { resourceOf } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import { generateNameSuffix } from '#machinery/names.ts';
import type { AdmissionAttributes, AdmissionPlugin, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import { oneOf, quote, refusal } from './refusal.ts';

const ACCOUNTS = resourceOf('', 'v1', 'serviceaccounts');
const DEFAULT_ACCOUNT = 'default';
const VOLUME_PREFIX = 'kube-api-access-';
export const TOKEN_MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const TOKEN_SECONDS = 3607;
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
const ENFORCE_ANNOTATION = 'kubernetes.io/enforce-mountable-secrets';

export class ServiceAccount implements AdmissionPlugin {
  readonly name = 'ServiceAccount';
  readonly handles = oneOf('CREATE', 'UPDATE');
  readonly #reader: ObjectReader;
  readonly #random: () => number;
  constructor(options: { readonly reader: ObjectReader; /** In [0, 1). */ readonly random: () => number }) {
    this.#reader = options.reader;
    this.#random = options.random;
  }
  admit(a: MutableAdmissionAttributes): void {
    if (!isPodSpecWrite(a) || a.operation !== 'CREATE') return;
    const pod = a.object as Draft<coreV1.Pod>;
    const spec = pod.spec;
    // A mirror Pod's token would be a way to get one from the node.
    if (!spec) return;
    if (isMirror(pod)) return mirrorRefersToNothing(a, spec);
    spec.serviceAccountName ||= DEFAULT_ACCOUNT;
    spec.serviceAccount = spec.serviceAccountName;
    const account = this.#accountOf(a, spec.serviceAccountName);
    if (wantsToken(account, spec)) mountToken(spec, this.#random);
    if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) spec.imagePullSecrets = account.imagePullSecrets.map((r) => ({ ...r }));
  }
  validate(a: AdmissionAttributes): void {
    if (!isPodSpecWrite(a)) return;
    const pod = a.object as coreV1.Pod;
    if (!pod.spec) return;
    if (a.operation === 'UPDATE') {
      if (a.subresource === 'ephemeralcontainers') this.#mountableOnly(a, this.#accountOf(a, pod.spec.serviceAccountName ?? ''), { containers: [], ephemeralContainers: pod.spec.ephemeralContainers ?? [] } as coreV1.PodSpec);
      return;
    }
    if (isMirror(pod)) return mirrorRefersToNothing(a, pod.spec);
    if (!pod.spec.serviceAccountName) throw refusal(a, `no service account specified for pod ${a.namespace}/${nameOf(pod)}`);
    this.#mountableOnly(a, this.#accountOf(a, pod.spec.serviceAccountName), pod.spec);
  }
  #accountOf(a: AdmissionAttributes, name: string): coreV1.ServiceAccount {
    const account = this.#reader.get<coreV1.ServiceAccount>(ACCOUNTS, a.namespace, name);
    if (!account) throw refusal(a, `error looking up service account ${a.namespace}/${name}: serviceaccount ${quote(name)} not found`);
    return account;
  }
  /** Accounts with the annotation let their Pods use only the secrets they list. */
  #mountableOnly(a: AdmissionAttributes, account: coreV1.ServiceAccount, spec: coreV1.PodSpec): void {
    if (account.metadata.annotations?.[ENFORCE_ANNOTATION] !== 'true') return;
    const mountable = new Set((account.secrets ?? []).map((s) => s.name));
    const pull = new Set((account.imagePullSecrets ?? []).map((s) => s.name));
    const owner = nameOf(account);
    for (const v of spec.volumes ?? []) {
      const name = v.secret?.secretName;
      if (name && !mountable.has(name)) throw refusal(a, `volume with secret.secretName=${quote(name)} is not allowed because service account ${owner} does not reference that secret`);
    }
    for (const c of containersOf(spec)) {
      const kind = (spec.initContainers ?? []).includes(c as coreV1.Container) ? 'init container' : (spec.ephemeralContainers ?? []).includes(c as coreV1.EphemeralContainer) ? 'ephemeral container' : 'container';
      for (const env of c.env ?? []) {
        const name = env.valueFrom?.secretKeyRef?.name;
        if (name && !mountable.has(name)) throw refusal(a, `${kind} ${c.name} with envVar ${env.name} referencing secret.secretName=${quote(name)} is not allowed because service account ${owner} does not reference that secret`);
      }
      for (const from of c.envFrom ?? []) {
        const name = from.secretRef?.name;
        if (name && !mountable.has(name)) throw refusal(a, `${kind} ${c.name} with envFrom referencing secret.secretName=${quote(name)} is not allowed because service account ${owner} does not reference that secret`);
      }
    }
    (spec.imagePullSecrets ?? []).forEach((ref, i) => {
      if (!pull.has(ref.name)) throw refusal(a, `imagePullSecrets[${i}].name=${quote(ref.name ?? '')} is not allowed because service account ${owner} does not reference that imagePullSecret`);
    });
  }
}
function isPodSpecWrite(a: AdmissionAttributes): boolean {
  if (a.resource.group !== '' || a.resource.plural !== 'pods' || !a.object) return false;
  return a.operation === 'CREATE' ? a.subresource === '' : a.subresource === 'ephemeralcontainers';
}
function isMirror(pod: { readonly metadata: { readonly annotations?: Readonly<Record<string, string>> | undefined } }): boolean {
  return pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined;
}
/** The Pod's word first, then the account's; without either: yes. */
function wantsToken(account: coreV1.ServiceAccount, spec: Pick<coreV1.PodSpec, 'automountServiceAccountToken'>): boolean {
  return spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true;
}
function mountToken(spec: Draft<coreV1.PodSpec>, random: () => number): void {
  const known = spec.volumes?.find((v) => v.name.startsWith(VOLUME_PREFIX) && v.projected?.sources?.some((s) => s.serviceAccountToken));
  const name = known?.name ?? freshName(spec, random);
  let mounted = false;
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const mounts = (container.volumeMounts ??= []);
    // A container that has something there already brings its own token.
    if (mounts.some((m) => m.mountPath === TOKEN_MOUNT_PATH)) continue;
    mounts.push({ name, readOnly: true, mountPath: TOKEN_MOUNT_PATH });
    mounted = true;
  }
  if (mounted && !known) (spec.volumes ??= []).push(tokenVolume(name));
}
function freshName(spec: Draft<coreV1.PodSpec>, random: () => number): string {
  const taken = new Set((spec.volumes ?? []).map((v) => v.name));
  let name: string;
  do name = VOLUME_PREFIX + generateNameSuffix(random);
  while (taken.has(name));
  return name;
}
function tokenVolume(name: string): Draft<coreV1.Volume> {
  return {
    name,
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: TOKEN_SECONDS } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
      ],
      defaultMode: 0o644,
    },
  };
}
function mirrorRefersToNothing(a: AdmissionAttributes, spec: coreV1.PodSpec): void {
  if (spec.serviceAccountName) throw refusal(a, 'a mirror pod may not reference service accounts');
  if (secretNamesOf(spec).length) throw refusal(a, 'a mirror pod may not reference secrets');
  if (configMapNamesOf(spec).length) throw refusal(a, 'a mirror pod may not reference configmaps');
  for (const v of spec.volumes ?? []) {
    if (v.persistentVolumeClaim) throw refusal(a, 'a mirror pod may not reference persistentvolumeclaims');
    for (const s of v.projected?.sources ?? []) {
      if (s.serviceAccountToken) throw refusal(a, 'a mirror pod may not use ServiceAccountToken volume projections');
      if (s.clusterTrustBundle) throw refusal(a, 'a mirror pod may not use ClusterTrustBundle volume projections');
    }
  }
}
