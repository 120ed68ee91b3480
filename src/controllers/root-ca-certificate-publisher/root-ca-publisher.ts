/** Every namespace has a ConfigMap `kube-root-ca.crt` with the cluster's authority. Upstream's counterpart: root-ca-certificate-publisher-controller. */
import { nameOf, namespaceOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CONFIG_MAPS, NAMESPACES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

const NAME = 'kube-root-ca.crt';
const DESCRIPTION = 'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

/** `rootCa`: PEM of the authority that signs the API server's certificate. */
export function newRootCaPublisher(context: ControllerContext, rootCa: string): Component {
  const namespaces = context.informers.informer(NAMESPACES);
  const configMaps = context.informers.informer(CONFIG_MAPS, { fieldSelector: `metadata.name=${NAME}` });
  return newController({
    name: 'root-ca-certificate-publisher-controller',
    context,
    sources: (queue) => [
      source(context, queue, NAMESPACES, (ns) => [nameOf(ns)]),
      source(context, queue, CONFIG_MAPS, (cm) => [namespaceOf(cm)], { fieldSelector: `metadata.name=${NAME}` }),
    ],
    async reconcile(namespace, signal) {
      const ns = namespaces.get('', namespace);
      if (!ns || ns.metadata.deletionTimestamp) return undefined;
      const found = configMaps.get(namespace, NAME);
      const data = { 'ca.crt': rootCa };
      try {
        if (!found) {
          await context.client.of(CONFIG_MAPS).create({ metadata: { name: NAME, namespace, annotations: { 'kubernetes.io/description': DESCRIPTION } }, data }, { signal });
        } else if (found.data?.['ca.crt'] !== rootCa || Object.keys(found.data).length !== 1) {
          await context.client.of(CONFIG_MAPS).update({ ...found, data, metadata: { ...found.metadata, annotations: { ...found.metadata.annotations, 'kubernetes.io/description': DESCRIPTION } } }, { signal });
        }
      } catch (err) {
        if (!isReason(err, 'AlreadyExists') && !isReason(err, 'Forbidden') && !isReason(err, 'NotFound')) throw err;
      }
      return undefined;
    },
  });
}
