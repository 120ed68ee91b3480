/**
 * The Node authorizer: a kubelet may read what its own Pods need and write what is its own.
 * Source: the Kubernetes page "Using Node Authorization"; KEP-4601 (selectors).
 */
import type * as certificatesV1beta1 from '#api/gen/certificates-v1beta1.ts';
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as resourceV1 from '#api/gen/resource-v1.ts';
import type * as storageV1 from '#api/gen/storage-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { parseFieldSelector } from '#machinery/selectors.ts';
import { nodeOf } from '../authentication/users.ts';
import type { AuthorizationAttributes, AuthorizationResult, Authorizer, ObjectReader, RuleResolver, SubjectRules, UserInfo } from '../interfaces.ts';
import { NodeReferences, type ReferenceKind } from './node-references.ts';
import { NODE_RULES } from './node-rules.ts';
import { rulesAllow } from './rules.ts';

const PODS = resourceOf('', 'v1', 'pods');
const ATTACHMENTS = resourceOf('storage.k8s.io', 'v1', 'volumeattachments');
const CERTIFICATE_REQUESTS = resourceOf('certificates.k8s.io', 'v1beta1', 'podcertificaterequests');
const SLICES = resourceOf('resource.k8s.io', 'v1', 'resourceslices');
const OWN_VERBS = ['get', 'create', 'update', 'patch', 'delete'];

const ALLOW: AuthorizationResult = { decision: 'allow', reason: '' };
const no = (reason = ''): AuthorizationResult => ({ decision: 'noOpinion', reason });
const unrelated = (node: string): AuthorizationResult => no(`no relationship found between node '${node}' and this object`);

/** Whether the request's field selector pins `field` to `value`. */
function selects(a: AuthorizationAttributes, field: string, value: string): boolean {
  if (!a.fieldSelector) return false;
  try {
    return parseFieldSelector(a.fieldSelector).requirements.some((r) => r.field === field && r.operator === '=' && r.value === value);
  } catch {
    return false;
  }
}

type Check = (node: string, a: AuthorizationAttributes) => AuthorizationResult;

export class NodeAuthorizer implements Authorizer, RuleResolver {
  readonly #reader: ObjectReader;
  readonly #references: NodeReferences;
  /** By `group/resource`; everything else follows the fixed rules. */
  readonly #checks: Readonly<Record<string, Check>>;
  constructor(reader: ObjectReader) {
    this.#reader = reader;
    this.#references = new NodeReferences(reader);
    this.#checks = {
      '/secrets': (node, a) => this.#read(node, 'secret', a),
      '/configmaps': (node, a) => this.#read(node, 'configmap', a),
      '/persistentvolumeclaims': (node, a) => this.#claim(node, a),
      '/persistentvolumes': (node, a) => this.#get(node, a, () => this.#references.needsVolume(node, a.name)),
      'resource.k8s.io/resourceclaims': (node, a) => this.#get(node, a, () => this.#references.needs(node, 'resourceclaim', a.namespace, a.name)),
      'storage.k8s.io/volumeattachments': (node, a) => this.#get(node, a, () => this.#reader.get<storageV1.VolumeAttachment>(ATTACHMENTS, '', a.name)?.spec.nodeName === node),
      '/serviceaccounts': (node, a) => this.#token(node, a),
      'coordination.k8s.io/leases': lease,
      'storage.k8s.io/csinodes': csiNode,
      'resource.k8s.io/resourceslices': (node, a) => this.#slice(node, a),
      'certificates.k8s.io/podcertificaterequests': (node, a) => this.#certificateRequest(node, a),
      '/nodes': ownNode,
      '/pods': (node, a) => this.#pod(node, a),
    };
  }
  stop(): void {
    this.#references.stop();
  }
  authorize(a: AuthorizationAttributes): AuthorizationResult {
    const node = nodeOf(a.user);
    if (node === undefined) return no();
    if (node === '') return no(`unknown node for user ${JSON.stringify(a.user.name)}`);
    const check = a.isResourceRequest ? this.#checks[`${a.apiGroup}/${a.resource}`] : undefined;
    if (check) return check(node, a);
    return rulesAllow(NODE_RULES, a) ? ALLOW : no();
  }
  rulesFor(user: UserInfo): SubjectRules {
    const node = nodeOf(user) !== undefined;
    return { resourceRules: [], nonResourceRules: [], incomplete: node, ...(node ? { evaluationError: 'node authorizer does not support user rule resolution' } : {}) };
  }
  #read(node: string, kind: ReferenceKind, a: AuthorizationAttributes): AuthorizationResult {
    if (!['get', 'list', 'watch'].includes(a.verb)) return no('can only read resources of this type');
    if (a.subresource !== '') return no('cannot read subresource');
    if (a.namespace === '') return no('can only read namespaced object of this type');
    return related(node, a, () => this.#references.needs(node, kind, a.namespace, a.name));
  }
  #claim(node: string, a: AuthorizationAttributes): AuthorizationResult {
    const needed = (): boolean => this.#references.needs(node, 'pvc', a.namespace, a.name);
    if (a.subresource !== 'status') return this.#get(node, a, needed);
    return a.verb === 'update' || a.verb === 'patch' ? related(node, a, needed) : no('can only get/update/patch this type');
  }
  #get(node: string, a: AuthorizationAttributes, needed: () => boolean): AuthorizationResult {
    if (a.verb !== 'get') return no('can only get individual resources of this type');
    if (a.subresource !== '') return no('cannot get subresource');
    return related(node, a, needed);
  }
  #token(node: string, a: AuthorizationAttributes): AuthorizationResult {
    const needed = (): boolean => this.#references.needs(node, 'serviceaccount', a.namespace, a.name);
    // The image credential providers look at the account itself.
    if (a.verb === 'get' && a.subresource === '') return related(node, a, needed);
    if (a.verb !== 'create' || a.name === '') return no('can only create tokens for individual service accounts');
    if (a.subresource !== 'token') return no('can only create token subresource of serviceaccount');
    return related(node, a, needed);
  }
  #certificateRequest(node: string, a: AuthorizationAttributes): AuthorizationResult {
    if (a.subresource !== '') return no('nodes may not access the status subresource of PodCertificateRequests');
    switch (a.verb) {
      case 'create':
        return ALLOW; // NodeRestriction looks at the object
      case 'get':
        return related(node, a, () => this.#reader.get<certificatesV1beta1.PodCertificateRequest>(CERTIFICATE_REQUESTS, a.namespace, a.name)?.spec.nodeName === node);
      case 'list':
      case 'watch':
        return selects(a, 'spec.nodeName', node) ? ALLOW : no('can only list/watch podcertificaterequests with nodeName field selector');
      default:
        return no(`nodes may not ${a.verb} podcertificaterequests`);
    }
  }
  #slice(node: string, a: AuthorizationAttributes): AuthorizationResult {
    if (a.subresource !== '') return no('cannot authorize ResourceSlice subresources');
    if (a.verb === 'create') return ALLOW; // NodeRestriction looks at the object's nodeName
    if (['get', 'update', 'patch', 'delete'].includes(a.verb)) return related(node, a, () => this.#reader.get<resourceV1.ResourceSlice>(SLICES, '', a.name)?.spec.nodeName === node);
    if (['watch', 'list', 'deletecollection'].includes(a.verb)) return selects(a, 'spec.nodeName', node) || selects(a, 'nodeName', node) ? ALLOW : no('can only list/watch/deletecollection resourceslices with nodeName field selector');
    return no('only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection');
  }
  #pod(node: string, a: AuthorizationAttributes): AuthorizationResult {
    const own = (): boolean => this.#reader.get<coreV1.Pod>(PODS, a.namespace, a.name)?.spec?.nodeName === node;
    switch (`${a.verb}/${a.subresource}`) {
      case 'get/':
        return related(node, a, own);
      case 'list/':
      case 'watch/':
        if (selects(a, 'spec.nodeName', node)) return ALLOW;
        return a.name === '' ? no('can only list/watch pods with spec.nodeName field selector') : related(node, a, own);
      case 'create/':
      case 'delete/':
      case 'update/status':
      case 'patch/status':
      case 'create/eviction':
        return ALLOW; // NodeRestriction looks at the object
      default:
        return no();
    }
  }
}

function related(node: string, a: AuthorizationAttributes, needed: () => boolean): AuthorizationResult {
  if (a.name === '') return no('No Object name found');
  return needed() ? ALLOW : unrelated(node);
}
function lease(node: string, a: AuthorizationAttributes): AuthorizationResult {
  if (!OWN_VERBS.includes(a.verb)) return no('can only get, create, update, patch, or delete a node lease');
  if (a.namespace !== 'kube-node-lease') return no('can only access leases in the "kube-node-lease" system namespace');
  // A create has no name here; NodeRestriction looks at it.
  return a.verb === 'create' || a.name === node ? ALLOW : no('can only access node lease with the same name as the requesting node');
}
function csiNode(node: string, a: AuthorizationAttributes): AuthorizationResult {
  if (!OWN_VERBS.includes(a.verb)) return no('can only get, create, update, patch, or delete a CSINode');
  if (a.subresource !== '') return no('cannot authorize CSINode subresources');
  return a.verb === 'create' || a.name === node ? ALLOW : no('can only access CSINode with the same name as the requesting node');
}
function ownNode(node: string, a: AuthorizationAttributes): AuthorizationResult {
  if (a.subresource === 'status') return a.verb === 'update' || a.verb === 'patch' ? ALLOW : no();
  if (a.subresource !== '') return no();
  if (['create', 'update', 'patch'].includes(a.verb)) return ALLOW; // NodeRestriction looks at the name
  if (!['get', 'list', 'watch'].includes(a.verb)) return no();
  if (a.name === node) return ALLOW;
  return no(a.name === '' ? `node '${node}' cannot read all nodes, only its own Node object` : `node '${node}' cannot read '${a.name}', only its own Node object`);
}
