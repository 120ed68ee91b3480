/** All of the API server's authorization: the privileged group, then Node and RBAC, or what an AuthorizationConfiguration says. */
import type { Authorizer, AdmissionPlugin, ObjectReader, RuleResolver } from '../interfaces.ts';
import type { AuthorizationFile, ChainLink } from './configured.ts';
import { RbacEscalationPlugin } from './escalation.ts';
import { NodeAuthorizer } from './node.ts';
import { PrivilegedGroupAuthorizer, RbacAuthorizer } from './rbac.ts';
import { AuthorizerUnion } from './union.ts';

export interface AuthorizationOptions {
  readonly reader: ObjectReader;
  /** Absent: Node and RBAC. */
  readonly file?: Pick<AuthorizationFile, 'chain' | 'onChange'> | undefined;
}
export interface Authorization {
  readonly authorizer: Authorizer & RuleResolver;
  /** The check that nobody grants what they do not hold; belongs at the end of the admission plugins. */
  readonly escalation: AdmissionPlugin;
  /** Stops following the watch caches. */
  stop(): void;
}

const DEFAULT_CHAIN: readonly ChainLink[] = ['Node', 'RBAC'];
const ALWAYS_ALLOW: Authorizer & RuleResolver = {
  authorize: () => ({ decision: 'allow', reason: '' }),
  rulesFor: () => ({ resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }], incomplete: false }),
};
const ALWAYS_DENY: Authorizer & RuleResolver = {
  authorize: () => ({ decision: 'noOpinion', reason: 'Everything is forbidden.' }),
  rulesFor: () => ({ resourceRules: [], nonResourceRules: [], incomplete: false }),
};

export function createAuthorization({ reader, file }: AuthorizationOptions): Authorization {
  const rbac = new RbacAuthorizer(reader);
  const node = new NodeAuthorizer(reader);
  const privileged = new PrivilegedGroupAuthorizer();
  const own = { AlwaysAllow: ALWAYS_ALLOW, AlwaysDeny: ALWAYS_DENY, Node: node, RBAC: rbac };
  const union = (chain: readonly ChainLink[]): AuthorizerUnion => new AuthorizerUnion([privileged, ...chain.map((link) => (typeof link === 'string' ? own[link] : link))]);
  let current = union(file?.chain ?? DEFAULT_CHAIN);
  file?.onChange(() => void (current = union(file.chain)));
  const authorizer: Authorizer & RuleResolver = {
    authorize: (attributes, signal) => current.authorize(attributes, signal),
    rulesFor: (user, namespace, signal) => current.rulesFor(user, namespace, signal),
  };
  return {
    authorizer,
    escalation: new RbacEscalationPlugin({ rbac, authorizer, reader }),
    stop: () => {
      rbac.stop();
      node.stop();
    },
  };
}
