/** What a driver is told of the Pod that it publishes a volume for, as its CSIDriver asks: `podInfoOnMount`, `tokenRequests`. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { CSIDriver } from '#api/gen/storage-v1.ts';
import type { TokenSource } from '../token-cache.ts';
import type { CsiSource } from './source.ts';

const PREFIX = 'csi.storage.k8s.io/';
const TOKENS = `${PREFIX}serviceAccount.tokens`;

/** Additions to the volume's context, and to its secrets (`serviceAccountTokenInSecrets`). */
export interface PublishAttributes {
  readonly context: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
}

export async function publishAttributes(pod: Pod, source: CsiSource, driver: CSIDriver | undefined, requestToken: TokenSource, signal: AbortSignal): Promise<PublishAttributes> {
  const { podInfoOnMount, tokenRequests = [], serviceAccountTokenInSecrets } = driver?.spec ?? {};
  const { name = '', namespace = '', uid = '' } = pod.metadata;
  const context: Record<string, string> = {};
  if (podInfoOnMount) {
    Object.assign(context, {
      [`${PREFIX}pod.name`]: name, [`${PREFIX}pod.namespace`]: namespace, [`${PREFIX}pod.uid`]: uid, [`${PREFIX}serviceAccount.name`]: pod.spec.serviceAccountName ?? '',
      [`${PREFIX}ephemeral`]: String(source.lifecycle === 'Ephemeral'),
    });
  }
  if (tokenRequests.length === 0) return { context, secrets: {} };
  const tokens: Record<string, { token: string; expirationTimestamp: string }> = {};
  for (const { audience, expirationSeconds } of tokenRequests) {
    const { status } = await requestToken(pod, { path: '', audience, ...(expirationSeconds === undefined ? {} : { expirationSeconds }) }, signal);
    tokens[audience] = { token: status?.token ?? '', expirationTimestamp: status?.expirationTimestamp ?? '' };
  }
  const text = { [TOKENS]: JSON.stringify(tokens) };
  return serviceAccountTokenInSecrets ? { context, secrets: text } : { context: { ...context, ...text }, secrets: {} };
}
