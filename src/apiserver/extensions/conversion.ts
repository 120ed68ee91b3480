/** Between the versions of a custom resource: nothing but `apiVersion` changes (`None`), or a webhook converts. Source: the Kubernetes page "Versions in CustomResourceDefinitions". */
import type { CustomResourceDefinition } from '#api/gen/apiextensions-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { qualified, StatusError, internalError } from '#machinery/status-error.ts';
import type { Status } from '#api/gen/meta-v1.ts';
import type { WebhookClient } from '../webhook/client.ts';
import { isObject } from './schema.ts';

/** Upstream's timeout of one conversion. */
const TIMEOUT_MS = 30_000;

export interface Converter {
  /** Undefined: takes time, {@link convertAll} does it. */
  readonly convert: ((object: KubeObject, apiVersion: string) => KubeObject) | undefined;
  /** The objects in another version, in order. New objects; the arguments stay as they are. */
  convertAll(objects: readonly KubeObject[], apiVersion: string): Promise<readonly KubeObject[]>;
}
const rename = (object: KubeObject, apiVersion: string): KubeObject => ({ ...object, apiVersion });
const NOTHING: Converter = { convert: rename, convertAll: async (objects, apiVersion) => objects.map((o) => rename(o, apiVersion)) };

export interface ConversionServices {
  readonly webhooks: Pick<WebhookClient, 'post'> | undefined;
  readonly uid: () => string;
}
interface Review {
  readonly apiVersion?: unknown;
  readonly kind?: unknown;
  readonly response?: { readonly uid?: unknown; readonly convertedObjects?: unknown; readonly result?: Status };
}

export function converterOf(definition: CustomResourceDefinition, services: ConversionServices): Converter {
  const { conversion } = definition.spec;
  if (conversion?.strategy !== 'Webhook') return NOTHING;
  const { webhook } = conversion;
  const reviewVersion = webhook?.conversionReviewVersions.find((v) => v === 'v1' || v === 'v1beta1');
  const shown = qualified({ group: definition.spec.group, resource: definition.spec.names.plural });
  const failed = (apiVersion: string, why: string, cause?: unknown): StatusError => internalError(`conversion webhook for ${apiVersion.includes('/') ? `${apiVersion}, Kind=${definition.spec.names.kind}` : shown} failed: ${why}`, cause);
  return {
    convert: undefined,
    async convertAll(objects, apiVersion) {
      const odd = objects.filter((o) => o.apiVersion !== apiVersion);
      if (odd.length === 0) return objects;
      const from = odd[0]!.apiVersion ?? '';
      if (!services.webhooks || !webhook?.clientConfig || !reviewVersion) throw failed(from, 'this API server has no client for webhooks');
      const uid = services.uid();
      const body = { kind: 'ConversionReview', apiVersion: `apiextensions.k8s.io/${reviewVersion}`, request: { uid, desiredAPIVersion: apiVersion, objects: odd } };
      let answer: unknown;
      try {
        answer = await services.webhooks.post(webhook.clientConfig, { body, timeoutMs: TIMEOUT_MS, signal: AbortSignal.timeout(TIMEOUT_MS) });
      } catch (err) {
        throw failed(from, err instanceof Error ? err.message : String(err), err);
      }
      const converted = check(answer, uid, odd, apiVersion, (why) => failed(from, why));
      return objects.map((o) => (o.apiVersion === apiVersion ? o : converted.get(o)!));
    },
  };
}

/** What the webhook gave, by the object it was given. It may change labels and annotations and nothing else of the metadata. */
function check(answer: unknown, uid: string, asked: readonly KubeObject[], apiVersion: string, fail: (why: string) => Error): ReadonlyMap<KubeObject, KubeObject> {
  const { response } = (answer ?? {}) as Review;
  if (!response) throw fail('Response is nil');
  if (response.uid !== uid) throw fail(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(String(response.uid ?? ''))}`);
  if (response.result?.status !== 'Success') throw fail(response.result?.message || 'unknown reason');
  const objects = Array.isArray(response.convertedObjects) ? (response.convertedObjects as unknown[]) : [];
  if (objects.length !== asked.length) throw fail(`expected ${asked.length} converted objects, got ${objects.length}`);
  return new Map(
    asked.map((original, i) => {
      const made = objects[i];
      if (!isObject(made)) throw fail(`invalid converted object at index ${i}: not an object`);
      if (made['apiVersion'] !== apiVersion) throw fail(`invalid groupVersion at index ${i}: expected ${apiVersion}, got ${String(made['apiVersion'] ?? '')}`);
      if (made['kind'] !== original.kind) throw fail(`invalid kind at index ${i}: expected ${original.kind}, got ${String(made['kind'] ?? '')}`);
      const meta = isObject(made['metadata']) ? made['metadata'] : {};
      for (const field of ['name', 'namespace', 'uid'] as const) {
        if ((meta[field] ?? '') !== (original.metadata[field] ?? '')) throw fail(`invalid metadata of object at index ${i}: ${field} must not be changed, was ${JSON.stringify(original.metadata[field] ?? '')}, is ${JSON.stringify(meta[field] ?? '')}`);
      }
      const { labels, annotations } = meta as { labels?: Record<string, string>; annotations?: Record<string, string> };
      const { labels: _l, annotations: _a, ...rest } = original.metadata;
      return [original, { ...made, metadata: { ...rest, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) } } as KubeObject];
    }),
  );
}
