/** All of the API server's authorization: privileged group, Node, RBAC, then webhooks, as `--authorization-mode=Node,RBAC,Webhook`. */
import type { Clock } from '#base/clock.ts';
import type { AdmissionPlugin, Authorizer, ObjectReader, RuleResolver } from '../interfaces.ts';
import { RbacEscalationPlugin } from './escalation.ts';
import { NodeAuthorizer } from './node.ts';
import { PrivilegedGroupAuthorizer, RbacAuthorizer } from './rbac.ts';
import { AuthorizerUnion } from './union.ts';
import { WebhookAuthorizer, type WebhookAuthorizerOptions } from './webhook.ts';

export interface AuthorizationOptions {
  readonly reader: ObjectReader;
  readonly clock: Clock;
  readonly webhooks?: readonly Omit<WebhookAuthorizerOptions, 'clock'>[];
}
export interface Authorization {
  readonly authorizer: Authorizer & RuleResolver;
  /** The check that nobody grants what they do not hold; belongs at the end of the admission plugins. */
  readonly escalation: AdmissionPlugin;
  /** Stops following the watch caches. */
  stop(): void;
}

export function createAuthorization({ reader, clock, webhooks = [] }: AuthorizationOptions): Authorization {
  const rbac = new RbacAuthorizer(reader);
  const node = new NodeAuthorizer(reader);
  const authorizer = new AuthorizerUnion([new PrivilegedGroupAuthorizer(), node, rbac, ...webhooks.map((w) => new WebhookAuthorizer({ ...w, clock }))]);
  return {
    authorizer,
    escalation: new RbacEscalationPlugin({ rbac, authorizer, reader }),
    stop: () => {
      rbac.stop();
      node.stop();
    },
  };
}
