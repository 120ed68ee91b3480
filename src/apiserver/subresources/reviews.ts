/** Resources that are questions: created, answered, and not kept. */
import type * as authenticationV1 from '#api/gen/authentication-v1.ts';
import type * as authorizationV1 from '#api/gen/authorization-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { reviewSelf, reviewToken } from '../authentication/token-review.ts';
import { reviewLocalSubjectAccess, reviewSelfSubjectAccess, reviewSelfSubjectRules, reviewSubjectAccess } from '../authorization/reviews.ts';
import type { RequestContext } from '../context.ts';
import { pathNotFound } from '../generic-errors.ts';
import type { MaybePromise } from '../interfaces.ts';
import { isPromise } from '../maybe-promise.ts';
import { admitWhole } from '../registry/admit.ts';
import { decodeBody } from '../registry/body.ts';
import { trackFields } from '../registry/managed-fields.ts';
import { settleNamespace } from '../registry/object-meta.ts';
import { writeOptions, writeOptionsObject } from '../registry/options.ts';
import type { SubresourceHandler } from '../registry/resource-registry.ts';

type Answer = (ctx: RequestContext, review: KubeObject) => MaybePromise<KubeObject | object>;

const ANSWERS: Readonly<Record<string, Answer>> = {
  selfsubjectreviews: (ctx) => reviewSelf(ctx.user, ctx.services.clock.now()),
  tokenreviews: (ctx, review) => {
    const tokens = ctx.services.tokenAuthenticator;
    if (!tokens) throw pathNotFound();
    return reviewToken(review as authenticationV1.TokenReview, tokens, ctx.services.audiences, ctx.signal);
  },
  subjectaccessreviews: (ctx, review) => reviewSubjectAccess(review as authorizationV1.SubjectAccessReview, ctx.services.authorizer, ctx.signal),
  localsubjectaccessreviews: (ctx, review) => reviewLocalSubjectAccess(review as authorizationV1.LocalSubjectAccessReview, ctx.namespace, ctx.services.authorizer, ctx.signal),
  selfsubjectaccessreviews: (ctx, review) => reviewSelfSubjectAccess(review as authorizationV1.SelfSubjectAccessReview, ctx.user, ctx.services.authorizer, ctx.signal),
  selfsubjectrulesreviews: (ctx, review) => {
    const rules = ctx.services.rules;
    if (!rules) throw pathNotFound();
    return reviewSelfSubjectRules(review as authorizationV1.SelfSubjectRulesReview, ctx.user, rules, ctx.signal);
  },
};

/** The handler of a review resource; undefined for other resources. */
export function reviewHandler(plural: string): SubresourceHandler | undefined {
  const answer = ANSWERS[plural];
  if (!answer) return undefined;
  return async (ctx) => {
    const { info, codec } = ctx.served;
    const options = writeOptions(ctx.request.query, 'CreateOptions');
    const review = decodeBody(ctx, await ctx.request.readBody(), { expected: info, codec, fieldValidation: options.fieldValidation });
    settleNamespace(review, info, ctx.namespace);
    trackFields(ctx, { live: undefined, draft: review, fieldManager: options.fieldManager, subresource: '' });
    const admitted = admitWhole(ctx, { operation: 'CREATE', name: review.metadata.name ?? '', object: review, oldObject: undefined, options: writeOptionsObject('CreateOptions', options), dryRun: options.dryRun });
    if (isPromise(admitted)) await admitted;
    return { kind: 'object', code: 201, object: codec.normalise((await answer(ctx, review as KubeObject)) as KubeObject) };
  };
}
