/** What the cluster's own objects hold for kinds that are served on demand alone: without those kinds it is not there, as upstream's features leave it out. */
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { nameOf, type KubeObject } from '#api/object.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';

const GROUP = 'certificates.k8s.io';
const TRUST_BUNDLES = resourceOf(GROUP, 'v1beta1', 'clustertrustbundles');
const POD_CERTIFICATES = resourceOf(GROUP, 'v1beta1', 'podcertificaterequests');
/** Objects by name, with the kind that they are of use with. */
const OBJECTS: Readonly<Record<string, ResourceInfo>> = {
  'system:cluster-trust-bundle-discovery': TRUST_BUNDLES,
  'system:controller:kube-apiserver-serving-clustertrustbundle-publisher': TRUST_BUNDLES,
  'system:controller:podcertificaterequestcleaner': POD_CERTIFICATES,
};

/** The objects without those, and roles without the rules, that are of no use. Changes nothing. */
export function withoutUnserved(objects: readonly KubeObject[], serves: (resource: ResourceInfo) => boolean): readonly KubeObject[] {
  const unserved = [TRUST_BUNDLES, POD_CERTIFICATES].filter((info) => !serves(info)).map((info) => info.plural);
  if (unserved.length === 0) return objects;
  const isOfUse = ({ apiGroups, resources }: rbacV1.PolicyRule): boolean => !apiGroups?.includes(GROUP) || !resources?.every((r) => unserved.includes(r));
  return objects.filter((o) => !unserved.includes(OBJECTS[nameOf(o)]?.plural ?? '')).map((o) => {
    const { rules } = o as rbacV1.ClusterRole;
    return rules?.some((rule) => !isOfUse(rule)) ? ({ ...o, rules: rules.filter(isOfUse) } as KubeObject) : o;
  });
}
