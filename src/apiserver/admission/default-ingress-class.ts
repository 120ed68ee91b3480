/** DefaultIngressClass: ingresses that name no class get the default one. */
import type * as networkingV1 from '#api/gen/networking-v1.ts';
import { nameOf } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import type { AdmissionPlugin, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import { defaultClass } from './default-class.ts';
import { isAbout, oneOf } from './refusal.ts';

const CLASSES = resourceOf('networking.k8s.io', 'v1', 'ingressclasses');

export class DefaultIngressClass implements AdmissionPlugin {
  readonly name = 'DefaultIngressClass';
  readonly handles = oneOf('CREATE');
  readonly #reader: ObjectReader;
  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  admit(a: MutableAdmissionAttributes): void {
    if (!isAbout(a, 'networking.k8s.io', 'ingresses')) return;
    const ingress = a.object as Draft<networkingV1.Ingress>;
    if (ingress.spec?.ingressClassName !== undefined || ingress.metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined) return;
    const found = defaultClass(this.#reader.list<networkingV1.IngressClass>(CLASSES), ['ingressclass.kubernetes.io/is-default-class']);
    if (found) (ingress.spec ??= {}).ingressClassName = nameOf(found);
  }
}
