/** NamespaceLifecycle: nothing is made in a namespace that is missing or on its way out, and some namespaces stay for ever. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { forbidden, StatusError } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin, Loopback, ObjectReader } from '../interfaces.ts';
import { isAbout, oneOf, refusal } from './refusal.ts';

const NAMESPACES = resourceOf('', 'v1', 'namespaces');
const IMMORTAL: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

export class NamespaceLifecycle implements AdmissionPlugin {
  readonly name = 'NamespaceLifecycle';
  readonly handles = oneOf('CREATE', 'UPDATE', 'DELETE');
  readonly #reader: ObjectReader;
  readonly #loopback: Loopback;
  constructor(options: { readonly reader: ObjectReader; readonly loopback: Loopback }) {
    this.#reader = options.reader;
    this.#loopback = options.loopback;
  }
  // As upstream it runs in the mutating phase, before any plugin does work for nothing.
  admit(a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    const onNamespace = isAbout(a, '', 'namespaces', a.subresource);
    if (onNamespace && a.operation === 'DELETE' && IMMORTAL.has(a.name)) throw forbidden({ group: '', resource: 'namespaces' }, a.name, 'this namespace may not be deleted');
    if (onNamespace || a.namespace === '' || a.operation !== 'CREATE') return undefined;
    // The answer to an access review must not tell whether the namespace exists.
    if (isAbout(a, 'authorization.k8s.io', 'localsubjectaccessreviews')) return undefined;
    const known = this.#reader.get<coreV1.Namespace>(NAMESPACES, '', a.namespace);
    if (known) return mustBeActive(a, known);
    // Another server may have made it a moment ago: the store has the last word, and its NotFound is the answer.
    return this.#loopback.call({ verb: 'get', resource: NAMESPACES, name: a.namespace }, signal).then((found) => mustBeActive(a, found as coreV1.Namespace));
  }
}
function mustBeActive(a: AdmissionAttributes, namespace: coreV1.Namespace): void {
  if (namespace.status?.phase !== 'Terminating') return;
  const plain = refusal(a, `unable to create new content in namespace ${a.namespace} because it is being terminated`);
  const cause = { reason: 'NamespaceTerminating', message: `namespace ${a.namespace} is being terminated`, field: 'metadata.namespace' };
  throw new StatusError({ ...plain.status, details: { ...plain.status.details, causes: [...(plain.status.details?.causes ?? []), cause] } });
}
