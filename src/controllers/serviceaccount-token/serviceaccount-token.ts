/**
 * Fills secrets of type `kubernetes.io/service-account-token` that people make, and deletes those whose service account is gone.
 * Source: concepts/configuration/secret, "ServiceAccount token Secrets"; upstream's counterpart: serviceaccount-token-controller.
 */
import type { Secret, ServiceAccount } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { SECRETS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';

const TYPE = 'kubernetes.io/service-account-token';
const NAME = 'kubernetes.io/service-account.name';
const UID = 'kubernetes.io/service-account.uid';

export interface TokenControllerOptions {
  /** PEM of the authority that signs the API server's certificate. */
  readonly rootCa: string;
  /** A token of the cluster with these claims. */
  signToken(claims: Readonly<Record<string, string>>): Promise<string>;
}
function claimsOf(secret: Secret, account: ServiceAccount): Record<string, string> {
  const prefix = 'kubernetes.io/serviceaccount';
  return {
    iss: 'kubernetes/serviceaccount', sub: `system:serviceaccount:${namespaceOf(account)}:${nameOf(account)}`,
    [`${prefix}/namespace`]: namespaceOf(account), [`${prefix}/secret.name`]: nameOf(secret),
    [`${prefix}/service-account.name`]: nameOf(account), [`${prefix}/service-account.uid`]: uidOf(account),
  };
}
export function newServiceAccountTokenController(context: ControllerContext, options: TokenControllerOptions): Component {
  const { client, informers } = context;
  const byType = { fieldSelector: `type=${TYPE}` };
  const secrets = informers.informer(SECRETS, byType);
  const base64 = (text: string): string => Buffer.from(text).toString('base64');

  async function fill(secret: Secret, account: ServiceAccount, signal: AbortSignal): Promise<void> {
    const annotations = { ...secret.metadata.annotations, [NAME]: nameOf(account), [UID]: uidOf(account) };
    const wanted = { 'ca.crt': base64(options.rootCa), namespace: secret.data?.['namespace'] ?? base64(namespaceOf(account)), token: secret.data?.['token'] ?? '' };
    const complete = secret.metadata.annotations?.[UID] === uidOf(account) && secret.data?.['ca.crt'] === wanted['ca.crt'] && secret.data['namespace'] !== undefined && wanted.token !== '';
    if (complete) return;
    const token = wanted.token || base64(await options.signToken(claimsOf(secret, account)));
    await client.of(SECRETS).update({ ...secret, metadata: { ...secret.metadata, annotations }, data: { ...secret.data, ...wanted, token } }, { signal });
  }
  async function sync(secret: Secret, name: string, signal: AbortSignal): Promise<undefined> {
    const uid = secret.metadata.annotations?.[UID];
    // Asked of the server: a token must not be deleted because the informer lags behind.
    const account = await client.of(SERVICE_ACCOUNTS).get(namespaceOf(secret), name, signal).catch((err: unknown) => {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    });
    if (account && (!uid || uid === uidOf(account))) return void (await fill(secret, account, signal));
    await client.of(SECRETS).delete(namespaceOf(secret), nameOf(secret), { preconditions: { uid: uidOf(secret) } }, signal).catch((err: unknown) => {
      if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
    });
    return undefined;
  }
  return newController({
    name: 'serviceaccount-token-controller',
    context,
    sources: (queue) => [
      source(context, queue, SECRETS, (s) => [keyOf(s)], byType),
      source(context, queue, SERVICE_ACCOUNTS, (account) => secrets.list(namespaceOf(account)).filter((s) => s.metadata.annotations?.[NAME] === nameOf(account)).map(keyOf)),
    ],
    async reconcile(key, signal) {
      const secret = secrets.getByKey(key);
      const name = secret?.metadata.annotations?.[NAME];
      if (!secret || !name || secret.metadata.deletionTimestamp !== undefined) return undefined;
      return await untilCaughtUp(() => sync(secret, name, signal));
    },
  });
}
