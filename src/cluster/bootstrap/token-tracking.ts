/** `kube-system/kube-apiserver-legacy-service-account-token-tracking`: since when the use of tokens of secrets is noted. Source: the Kubernetes page "Managing Service Accounts". */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import type { Transport } from '#client/transport.ts';
import { isReason } from '#machinery/status-error.ts';

const CONFIG_MAPS = resourceOf('', 'v1', 'configmaps');
const WHERE = { resource: CONFIG_MAPS, namespace: 'kube-system', name: 'kube-apiserver-legacy-service-account-token-tracking' } as const;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/** Makes the config map, or gives it a day where it has none. Idempotent. */
export async function ensureTokenTracking(transport: Transport, clock: Clock, signal?: AbortSignal): Promise<void> {
  const since = new Date(clock.now()).toISOString().slice(0, 'YYYY-MM-DD'.length);
  const { resource, namespace, name } = WHERE;
  try {
    const found = (await transport.call({ verb: 'get', ...WHERE }, signal)) as coreV1.ConfigMap;
    if (DAY.test(found.data?.['since'] ?? '')) return;
    await transport.call({ verb: 'update', ...WHERE, body: { ...found, data: { ...found.data, since } } }, signal);
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
    await transport.call({ verb: 'create', resource, namespace, body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { since } } }, signal);
  }
}
