/**
 * Marks tokens that were made for service accounts unasked, and that nobody has used for a year, as invalid; a year later they go.
 * Source: the Kubernetes page "Managing Service Accounts"; upstream's counterpart: legacy-serviceaccount-token-cleaner-controller.
 */
import type { Secret, ServiceAccount } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { secretNamesOf } from '#api/pod-visitors.ts';
import type { Component } from '#base/component.ts';
import { CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, sourceWith, type ControllerContext } from '../controller.ts';

const LAST_USED = 'kubernetes.io/legacy-token-last-used';
const INVALID_SINCE = 'kubernetes.io/legacy-token-invalid-since';
const NAME_ANNOTATION = 'kubernetes.io/service-account.name';
const UID_ANNOTATION = 'kubernetes.io/service-account.uid';
const TOKEN_TYPE = 'kubernetes.io/service-account-token';
const TOKENS = { fieldSelector: `type=${TOKEN_TYPE}` };
const TRACKING = 'kube-apiserver-legacy-service-account-token-tracking';
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const DAY_MS = 24 * 60 * 60 * 1000;
const UNUSED_MS = 365 * DAY_MS;
const ALL = 'all';

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 'YYYY-MM-DD'.length);
}
/** What is to be done with a token that no Pod uses: `keep` also where it cannot be told. */
export function judge(secret: Secret, account: ServiceAccount | undefined, now: number): 'keep' | 'mark' | 'delete' {
  const { creationTimestamp, deletionTimestamp, labels, annotations } = secret.metadata;
  const limit = dayOf(now - UNUSED_MS);
  if (deletionTimestamp !== undefined || Date.parse(creationTimestamp ?? '') >= now - UNUSED_MS) return 'keep';
  const lastUsed = labels?.[LAST_USED];
  if (lastUsed !== undefined && (!DAY.test(lastUsed) || lastUsed >= limit)) return 'keep';
  const uid = annotations?.[UID_ANNOTATION] ?? '';
  // Only those that the account lists were made unasked.
  if (!account || (uid !== '' && uid !== uidOf(account)) || !account.secrets?.some((s) => s.name === nameOf(secret))) return 'keep';
  const invalidSince = labels?.[INVALID_SINCE] ?? '';
  if (!DAY.test(invalidSince)) return 'mark';
  return invalidSince >= limit ? 'keep' : 'delete';
}

export function newLegacyTokenCleaner(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const accounts = informers.informer(SERVICE_ACCOUNTS);
  const secrets = informers.informer(SECRETS, TOKENS);
  const pods = informers.informer(PODS);

  /** Since when uses have been noted for certain: from the day after the one that is written down. Never, where none is. */
  async function trackedSince(signal: AbortSignal): Promise<number> {
    const map = await client.of(CONFIG_MAPS).get('kube-system', TRACKING, signal).catch((err: unknown) => {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    });
    const since = map?.data?.['since'] ?? '';
    return DAY.test(since) ? Date.parse(since) + DAY_MS : Infinity;
  }
  async function clean(secret: Secret, now: number, signal: AbortSignal): Promise<void> {
    const namespace = namespaceOf(secret);
    const verdict = judge(secret, accounts.get(namespace, secret.metadata.annotations?.[NAME_ANNOTATION] ?? ''), now);
    if (verdict === 'keep' || pods.list().some((p) => namespaceOf(p) === namespace && secretNamesOf(p.spec).includes(nameOf(secret)))) return;
    const done = verdict === 'mark'
      ? client.of(SECRETS).patch(namespace, nameOf(secret), 'application/merge-patch+json', { metadata: { uid: uidOf(secret), labels: { [INVALID_SINCE]: dayOf(now) } } }, { signal })
      : client.of(SECRETS).delete(namespace, nameOf(secret), { preconditions: { resourceVersion: secret.metadata.resourceVersion } }, signal);
    await done.catch((err: unknown) => {
      if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
    });
  }
  return newController({
    name: 'legacy-serviceaccount-token-cleaner-controller',
    context,
    workers: 1,
    sources(queue) {
      queue.add(ALL);
      return [sourceWith(context, SERVICE_ACCOUNTS, {}), sourceWith(context, SECRETS, {}, TOKENS), sourceWith(context, PODS, {})];
    },
    async reconcile(_, signal) {
      const now = clock.now();
      if (now >= (await trackedSince(signal)) + UNUSED_MS) for (const secret of secrets.list()) await clean(secret, now, signal);
      return { afterMs: DAY_MS };
    },
  });
}
