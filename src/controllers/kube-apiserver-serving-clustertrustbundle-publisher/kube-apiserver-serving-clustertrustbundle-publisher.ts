/**
 * Publishes the authority of the API server's certificate as a ClusterTrustBundle of the signer `kubernetes.io/kube-apiserver-serving`.
 * Upstream's counterpart: kube-apiserver-serving-clustertrustbundle-publisher-controller.
 */
import { createHash } from 'node:crypto';
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CLUSTER_TRUST_BUNDLES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, sourceWith, type ControllerContext } from '../controller.ts';

const SIGNER = 'kubernetes.io/kube-apiserver-serving';
const FIELD_SELECTOR = `spec.signerName=${SIGNER}`;
const HASH_BYTES = 12;
/** There is one thing to do. */
const KEY = 'bundle';

/** Another authority has another name: Pods that have the old one see both for a moment. */
export function bundleName(trustBundle: string): string {
  return `${SIGNER.replaceAll('/', ':')}:${createHash('sha256').update(trustBundle).digest().subarray(0, HASH_BYTES).toString('hex')}`;
}
/** `rootCa`: PEM of the authority that signs the API server's certificate. */
export function newServingTrustBundlePublisher(context: ControllerContext, rootCa: string): Component {
  const { client, informers } = context;
  const bundles = informers.informer(CLUSTER_TRUST_BUNDLES, { fieldSelector: FIELD_SELECTOR });
  const name = bundleName(rootCa);
  return newController({
    name: 'kube-apiserver-serving-clustertrustbundle-publisher-controller',
    context,
    workers: 1,
    sources(queue) {
      const wake = () => queue.add(KEY);
      wake();
      return [sourceWith(context, CLUSTER_TRUST_BUNDLES, { onAdd: wake, onUpdate: wake, onDelete: wake }, { fieldSelector: FIELD_SELECTOR })];
    },
    async reconcile(_, signal) {
      const found = bundles.get('', name);
      const api = client.of(CLUSTER_TRUST_BUNDLES);
      if (!found) await api.create({ metadata: { name }, spec: { signerName: SIGNER, trustBundle: rootCa } }, { signal });
      else if (found.spec.trustBundle !== rootCa) await api.update({ ...found, spec: { ...found.spec, trustBundle: rootCa } }, { signal });
      const others = bundles.list().filter((b) => nameOf(b) !== name);
      await Promise.all(others.map((b) => api.delete('', nameOf(b), {}, signal).catch((err: unknown) => {
        if (!isReason(err, 'NotFound')) throw err;
      })));
      return undefined;
    },
  });
}
