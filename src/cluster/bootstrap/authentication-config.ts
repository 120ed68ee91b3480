/**
 * `kube-system/extension-apiserver-authentication`: how servers behind the aggregation layer know whom to believe.
 * Source: the Kubernetes page "Configure the Aggregation Layer".
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Transport } from '#client/transport.ts';
import { isReason } from '#machinery/status-error.ts';

const CONFIG_MAPS = resourceOf('', 'v1', 'configmaps');
const NAMESPACE = 'kube-system';
const NAME = 'extension-apiserver-authentication';

export interface ExtensionAuthentication {
  /** PEM of the authority of client certificates. */
  readonly clientCa: string;
  /** PEM of the front proxy's authority. */
  readonly requestHeaderCa: string;
  /** Common names of front proxies. */
  readonly allowedNames: readonly string[];
}
export function extensionAuthentication(options: ExtensionAuthentication): coreV1.ConfigMap {
  return {
    apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: NAME, namespace: NAMESPACE },
    data: {
      'client-ca-file': options.clientCa,
      'requestheader-allowed-names': JSON.stringify(options.allowedNames),
      'requestheader-client-ca-file': options.requestHeaderCa,
      'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
      'requestheader-group-headers': '["X-Remote-Group"]',
      'requestheader-uid-headers': '["X-Remote-Uid"]',
      'requestheader-username-headers': '["X-Remote-User"]',
    },
  };
}
/** Makes the config map say what `options` say. Idempotent. */
export async function ensureExtensionAuthentication(transport: Transport, options: ExtensionAuthentication, signal?: AbortSignal): Promise<void> {
  const wanted = extensionAuthentication(options);
  const where = { resource: CONFIG_MAPS, namespace: NAMESPACE, name: NAME };
  try {
    const found = (await transport.call({ verb: 'get', ...where }, signal)) as coreV1.ConfigMap;
    if (Object.entries(wanted.data!).every(([key, value]) => found.data?.[key] === value)) return;
    await transport.call({ verb: 'update', ...where, body: { ...found, data: { ...found.data, ...wanted.data } } }, signal);
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
    await transport.call({ verb: 'create', resource: CONFIG_MAPS, namespace: NAMESPACE, body: wanted }, signal);
  }
}
