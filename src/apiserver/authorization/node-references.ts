/**
 * Which objects each node may see because a Pod on it needs them: upstream's node authorizer graph, kept as one count of references a
 * node, plus the secrets that volumes name. Changes come from the watch caches; a question is a few map look-ups.
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import { claimNamesOf } from '#api/pod-claims.ts';
import { resourceOf } from '#api/resources.ts';
import type { ObjectReader } from '../interfaces.ts';

const PODS = resourceOf('', 'v1', 'pods');
const VOLUMES = resourceOf('', 'v1', 'persistentvolumes');
const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

export type ReferenceKind = 'secret' | 'configmap' | 'pvc' | 'serviceaccount' | 'resourceclaim';
const referenceKey = (kind: ReferenceKind, namespace: string, name: string): string => `${kind} ${namespace}/${name}`;

/** Names of secrets and config maps in a container's environment. */
function* containerReferences(pod: coreV1.Pod): Generator<[ReferenceKind, string | undefined]> {
  const spec = pod.spec;
  for (const container of [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...(spec?.ephemeralContainers ?? [])]) {
    for (const from of container.envFrom ?? []) {
      yield ['secret', from.secretRef?.name];
      yield ['configmap', from.configMapRef?.name];
    }
    for (const env of container.env ?? []) {
      yield ['secret', env.valueFrom?.secretKeyRef?.name];
      yield ['configmap', env.valueFrom?.configMapKeyRef?.name];
    }
  }
}
function* volumeReferences(volume: coreV1.Volume, podName: string): Generator<[ReferenceKind, string | undefined]> {
  yield ['secret', volume.secret?.secretName];
  yield ['configmap', volume.configMap?.name];
  yield ['pvc', volume.persistentVolumeClaim?.claimName];
  if (volume.ephemeral) yield ['pvc', `${podName}-${volume.name}`];
  for (const source of volume.projected?.sources ?? []) {
    yield ['secret', source.secret?.name];
    yield ['configmap', source.configMap?.name];
  }
  yield ['secret', volume.csi?.nodePublishSecretRef?.name];
  yield ['secret', volume.azureFile?.secretName];
  for (const source of [volume.cephfs, volume.cinder, volume.flexVolume, volume.rbd, volume.scaleIO, volume.iscsi, volume.storageos]) yield ['secret', source?.secretRef?.name];
}
/** Keys of everything that a Pod makes visible to its node. */
export function podReferences(pod: coreV1.Pod): ReadonlySet<string> {
  const keys = new Set<string>();
  // A mirror Pod comes from the node itself: it must not open anything.
  if (pod.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined) return keys;
  const namespace = namespaceOf(pod);
  const add = (kind: ReferenceKind, name: string | undefined): void => {
    if (name) keys.add(referenceKey(kind, namespace, name));
  };
  add('serviceaccount', pod.spec?.serviceAccountName);
  for (const ref of pod.spec?.imagePullSecrets ?? []) add('secret', ref.name);
  for (const [kind, name] of containerReferences(pod)) add(kind, name);
  for (const volume of pod.spec?.volumes ?? []) for (const [kind, name] of volumeReferences(volume, nameOf(pod))) add(kind, name);
  for (const name of claimNamesOf(pod)) add('resourceclaim', name);
  add('resourceclaim', pod.status?.extendedResourceClaimStatus?.resourceClaimName);
  return keys;
}
/** Secrets that a volume needs on the node, as `namespace/name`. */
export function volumeSecrets(volume: coreV1.PersistentVolume): string[] {
  const spec = volume.spec;
  const claimNamespace = spec?.claimRef?.namespace ?? '';
  const csi = spec?.csi;
  const refs = [
    spec?.azureFile && { name: spec.azureFile.secretName, namespace: spec.azureFile.secretNamespace },
    spec?.cephfs?.secretRef, spec?.cinder?.secretRef, spec?.flexVolume?.secretRef, spec?.rbd?.secretRef, spec?.scaleIO?.secretRef, spec?.iscsi?.secretRef, spec?.storageos?.secretRef,
    csi?.nodePublishSecretRef, csi?.nodeStageSecretRef, csi?.controllerPublishSecretRef, csi?.nodeExpandSecretRef,
  ];
  return refs.flatMap((ref) => (ref?.name ? [`${ref.namespace || claimNamespace}/${ref.name}`] : []));
}

export class NodeReferences {
  readonly #reader: ObjectReader;
  /** By node: how many of its Pods need a key. */
  readonly #counts = new Map<string, Map<string, number>>();
  /** By Pod: what it was counted as. */
  readonly #pods = new Map<string, { readonly node: string; readonly keys: ReadonlySet<string> }>();
  /** By secret (`namespace/name`): the volumes that need it. */
  readonly #secretVolumes = new Map<string, Set<string>>();
  readonly #stops: readonly (() => void)[];
  constructor(reader: ObjectReader) {
    this.#reader = reader;
    this.#stops = [
      reader.subscribe<coreV1.Pod>(PODS, ({ type, object }) => (type === 'DELETED' ? this.#removePod(keyOf(object)) : this.#putPod(object))),
      reader.subscribe<coreV1.PersistentVolume>(VOLUMES, ({ type, object, previous }) => {
        if (previous) this.#linkSecrets(previous, false);
        this.#linkSecrets(object, type !== 'DELETED');
      }),
    ];
    for (const pod of reader.list<coreV1.Pod>(PODS)) this.#putPod(pod);
    for (const volume of reader.list<coreV1.PersistentVolume>(VOLUMES)) this.#linkSecrets(volume, true);
  }
  stop(): void {
    for (const stop of this.#stops) stop();
  }
  /** Whether a Pod on the node needs the object, directly or through a bound volume. */
  needs(node: string, kind: ReferenceKind, namespace: string, name: string): boolean {
    if (this.#counts.get(node)?.has(referenceKey(kind, namespace, name))) return true;
    if (kind !== 'secret') return false;
    return [...(this.#secretVolumes.get(`${namespace}/${name}`) ?? [])].some((volume) => this.needsVolume(node, volume));
  }
  /** Whether a Pod on the node uses the claim that the volume is bound to. */
  needsVolume(node: string, name: string): boolean {
    const claim = this.#reader.get<coreV1.PersistentVolume>(VOLUMES, '', name)?.spec?.claimRef;
    return claim !== undefined && this.needs(node, 'pvc', claim.namespace ?? '', claim.name ?? '');
  }
  #putPod(pod: coreV1.Pod): void {
    const key = keyOf(pod);
    this.#removePod(key);
    const node = pod.spec?.nodeName;
    if (!node) return;
    const keys = podReferences(pod);
    this.#pods.set(key, { node, keys });
    const counts = this.#counts.getOrInsertComputed(node, () => new Map());
    for (const k of keys) counts.set(k, (counts.get(k) ?? 0) + 1);
  }
  #removePod(key: string): void {
    const known = this.#pods.get(key);
    if (!known) return;
    this.#pods.delete(key);
    const counts = this.#counts.get(known.node)!;
    for (const k of known.keys) {
      const left = counts.get(k)! - 1;
      if (left > 0) counts.set(k, left);
      else counts.delete(k);
    }
    if (counts.size === 0) this.#counts.delete(known.node);
  }
  #linkSecrets(volume: coreV1.PersistentVolume, link: boolean): void {
    for (const secret of volumeSecrets(volume)) {
      if (link) {
        this.#secretVolumes.getOrInsertComputed(secret, () => new Set()).add(nameOf(volume));
      } else {
        const volumes = this.#secretVolumes.get(secret);
        volumes?.delete(nameOf(volume));
        if (volumes?.size === 0) this.#secretVolumes.delete(secret);
      }
    }
  }
}
