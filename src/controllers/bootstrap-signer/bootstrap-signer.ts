/**
 * Signs `cluster-info` in kube-public with each bootstrap token, so that who joins with a token can trust it.
 * Source: reference/access-authn-authz/bootstrap-tokens, "ConfigMap Signing"; upstream's counterpart: bootstrap-signer-controller.
 */
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CONFIG_MAPS, SECRETS } from '#client/kinds.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { detachedSignature, expiryOf, signingToken, TOKEN_TYPE } from './tokens.ts';

const CLUSTER_INFO = 'cluster-info';
const KUBECONFIG = 'kubeconfig';
const SIGNATURE = 'jws-kubeconfig-';

export function newBootstrapSigner(context: ControllerContext): Component {
  const { client, clock, informers } = context;
  const tokens = { namespace: 'kube-system', fieldSelector: `type=${TOKEN_TYPE}` };
  const info = { namespace: 'kube-public', fieldSelector: `metadata.name=${CLUSTER_INFO}` };
  const secrets = informers.informer(SECRETS, tokens);
  const configMaps = informers.informer(CONFIG_MAPS, info);
  return newController({
    name: 'bootstrap-signer-controller',
    context,
    workers: 1,
    sources: (queue) => [source(context, queue, SECRETS, () => [CLUSTER_INFO], tokens), source(context, queue, CONFIG_MAPS, (c) => [nameOf(c)], info)],
    async reconcile(_key, signal) {
      const map = configMaps.get('kube-public', CLUSTER_INFO);
      const kubeconfig = map?.data?.[KUBECONFIG];
      if (!map || kubeconfig === undefined) return undefined;
      const now = clock.now();
      const known = secrets.list();
      const data = Object.fromEntries(Object.entries(map.data ?? {}).filter(([key]) => !key.startsWith(SIGNATURE)));
      for (const secret of known) {
        const token = signingToken(secret, now);
        if (token) data[SIGNATURE + token.id] = detachedSignature(kubeconfig, token);
      }
      const ends = known.map(expiryOf).filter((at) => at !== undefined && at > now).map((at) => at! - now);
      return await untilCaughtUp(async () => {
        if (!semanticEqual(map.data, data)) await client.of(CONFIG_MAPS).update({ ...map, data }, { signal });
        return ends.length ? { afterMs: Math.min(...ends) } : undefined;
      });
    },
  });
}
