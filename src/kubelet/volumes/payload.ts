/** What configMap, secret, downwardAPI and projected volumes consist of. Source: API reference of those volume sources. */
import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, PodCertificateProjection, Secret, ServiceAccountTokenProjection, VolumeProjection } from '#api/gen/core-v1.ts';
import type { TokenRequest } from '#api/gen/authentication-v1.ts';
import { uidOf } from '#api/object.ts';
import { isReason } from '#machinery/status-error.ts';
import type { PodCertificates } from '../certificates/pod-certificates.ts';
import type { TrustBundles } from '../certificates/trust-bundles.ts';
import { fieldValue, resourceValue, type NodeFacts } from '../env/field-ref.ts';
import type { NodeObjects } from '../objects.ts';
import type { FileContent } from './atomic-writer.ts';

export interface PayloadContext {
  readonly objects: NodeObjects;
  node(): NodeFacts;
  podIPs(pod: Pod): readonly string[];
  requestToken(pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal): Promise<TokenRequest>;
  readonly trustBundles: Pick<TrustBundles, 'anchors' | 'forget' | 'onChange'>;
  readonly podCertificates: Pick<PodCertificates, 'bundle' | 'forget' | 'onChange'>;
}
/** A source with its place in the volume. */
export type IndexedSource = readonly [index: number, source: VolumeProjection];
/** Files, and when one of them must be made anew (a token nears its end). */
export interface VolumePayload {
  readonly files: Map<string, FileContent>;
  readonly refreshAt?: number | undefined;
}
const DEFAULT_MODE = 0o644;

interface KeyedSource {
  readonly name: string;
  readonly items?: readonly KeyToPath[] | undefined;
  readonly optional?: boolean | undefined;
  readonly mode: number;
}
type KeyedKind = 'configMaps' | 'secrets';

/** Bytes of a ConfigMap's or Secret's keys. */
function dataOf(kind: KeyedKind, object: ConfigMap | Secret): Map<string, Buffer> {
  const out = new Map<string, Buffer>();
  for (const [k, v] of Object.entries(object.data ?? {})) out.set(k, Buffer.from(v, kind === 'secrets' ? 'base64' : 'utf8'));
  for (const [k, v] of Object.entries((object as ConfigMap).binaryData ?? {})) out.set(k, Buffer.from(v, 'base64'));
  return out;
}

export async function keyedPayload(ctx: PayloadContext, pod: Pod, kind: KeyedKind, source: KeyedSource, signal: AbortSignal): Promise<Map<string, FileContent>> {
  const out = new Map<string, FileContent>();
  let data: Map<string, Buffer>;
  try {
    data = dataOf(kind, await ctx.objects[kind].get(pod.metadata.namespace!, source.name, signal));
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
    if (source.optional) return out;
    throw new Error(`${kind === 'secrets' ? 'secret' : 'configmap'} "${source.name}" not found`, { cause: err });
  }
  if (!source.items?.length) {
    for (const [k, v] of data) out.set(k, { data: v, mode: source.mode });
    return out;
  }
  for (const { key, path, mode } of source.items) {
    const value = data.get(key);
    if (value) out.set(path, { data: value, mode: mode ?? source.mode });
    else if (!source.optional) throw new Error(`${kind === 'secrets' ? 'references non-existent secret key' : 'configmap references non-existent config key'}: ${key}`);
  }
  return out;
}

export function downwardPayload(ctx: PayloadContext, pod: Pod, items: readonly DownwardAPIVolumeFile[], mode: number): Map<string, FileContent> {
  const out = new Map<string, FileContent>();
  for (const item of items) {
    let text: string | undefined;
    if (item.fieldRef) text = fieldValue(pod, item.fieldRef.fieldPath, ctx.podIPs(pod), ctx.node());
    else if (item.resourceFieldRef) {
      const { containerName } = item.resourceFieldRef;
      const container = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((c) => c.name === containerName);
      if (!container) throw new Error(`container ${containerName} not found`);
      text = resourceValue(container, item.resourceFieldRef, ctx.node());
    }
    out.set(item.path, { data: Buffer.from(text ?? ''), mode: item.mode ?? mode });
  }
  return out;
}

export async function projectedPayload(ctx: PayloadContext, pod: Pod, volume: string, sources: readonly IndexedSource[], mode: number, now: number, signal: AbortSignal): Promise<VolumePayload> {
  const files = new Map<string, FileContent>();
  let refreshAt: number | undefined;
  const failures: string[] = [];
  const add = (more: Map<string, FileContent>) => { for (const [k, v] of more) files.set(k, v); };
  for (const [index, source] of sources) {
    try {
      if (source.configMap) add(await keyedPayload(ctx, pod, 'configMaps', { ...source.configMap, name: source.configMap.name ?? '', mode }, signal));
      if (source.secret) add(await keyedPayload(ctx, pod, 'secrets', { ...source.secret, name: source.secret.name ?? '', mode }, signal));
      if (source.downwardAPI) add(downwardPayload(ctx, pod, source.downwardAPI.items ?? [], mode));
      if (source.clusterTrustBundle) files.set(source.clusterTrustBundle.path, ownFile(pod, await ctx.trustBundles.anchors(uidOf(pod), source.clusterTrustBundle, signal), mode));
      if (source.podCertificate) add(certificateFiles(ctx, pod, volume, index, source.podCertificate, mode));
      if (source.serviceAccountToken) {
        const request = await ctx.requestToken(pod, source.serviceAccountToken, signal);
        const at = tokenRefreshAt(request, now);
        refreshAt = Math.min(refreshAt ?? at, at);
        files.set(source.serviceAccountToken.path, ownFile(pod, request.status?.token ?? '', mode));
      }
    } catch (err) {
      if (signal.aborted) throw err;
      failures.push((err as Error).message);
    }
  }
  if (failures.length) throw new Error(failures.length === 1 ? failures[0] : `[${failures.join(', ')}]`);
  return { files, refreshAt };
}
function certificateFiles(ctx: PayloadContext, pod: Pod, volume: string, index: number, source: PodCertificateProjection, mode: number): Map<string, FileContent> {
  const { key, chain } = ctx.podCertificates.bundle(pod, volume, index);
  const contents = [[source.credentialBundlePath, key + chain], [source.keyPath, key], [source.certificateChainPath, chain]] as const;
  return new Map(contents.flatMap(([path, text]) => (path ? [[path, ownFile(pod, text, mode)] as const] : [])));
}
/** A token is replaced at four fifths of its life, or after a day. */
function tokenRefreshAt(request: TokenRequest, now: number): number {
  const end = Date.parse(request.status?.expirationTimestamp ?? '');
  const life = (request.spec.expirationSeconds ?? (end - now) / 1000) * 1000;
  return Math.min(end - life * 0.2, now + 24 * 3_600_000);
}
/** The one user's that all containers run as, and readable by him alone; with an fsGroup, by that and him. */
function ownFile({ spec: { containers, initContainers = [], ephemeralContainers = [], securityContext } }: Pod, text: string, mode: number): FileContent {
  const users = new Set([...containers, ...initContainers, ...ephemeralContainers].map((c) => c.securityContext?.runAsUser ?? securityContext?.runAsUser));
  const [only] = users;
  const uid = users.size === 1 ? only : undefined;
  return { data: Buffer.from(text), mode: uid === undefined && securityContext?.fsGroup === undefined ? mode : 0o600, ...(uid === undefined ? {} : { uid }) };
}
export function defaultMode(mode: number | undefined): number {
  return mode ?? DEFAULT_MODE;
}
