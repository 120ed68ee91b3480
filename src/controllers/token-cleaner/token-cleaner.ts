/** Deletes bootstrap tokens that have expired. Source: as `bootstrap-signer.ts`; upstream's counterpart: token-cleaner-controller. */
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { SECRETS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { expiryOf, TOKEN_TYPE } from '../bootstrap-signer/tokens.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

export function newTokenCleaner(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const tokens = { namespace: 'kube-system', fieldSelector: `type=${TOKEN_TYPE}` };
  const secrets = informers.informer(SECRETS, tokens);
  return newController({
    name: 'token-cleaner-controller',
    context,
    workers: 1,
    sources: (queue) => [source(context, queue, SECRETS, (s) => [keyOf(s)], tokens)],
    async reconcile(key, signal) {
      const secret = secrets.getByKey(key);
      const at = secret && expiryOf(secret);
      if (!secret || at === undefined) return undefined;
      if (at > clock.now()) return { afterMs: at - clock.now() };
      await client.of(SECRETS).delete(namespaceOf(secret), nameOf(secret), { preconditions: { uid: uidOf(secret) } }, signal).catch((err: unknown) => {
        if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
      });
      return undefined;
    },
  });
}
