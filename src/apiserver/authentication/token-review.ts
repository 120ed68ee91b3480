/** TokenReview and SelfSubjectReview: what a token is good for, and who the caller is. Source: the API reference, authentication.k8s.io/v1. */
import type * as authenticationV1 from '#api/gen/authentication-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { TokenAuthenticator, UserInfo } from '../interfaces.ts';
import { withAuthenticatedGroup } from './users.ts';

/** A user as it is written in reviews. */
export function userInfoOf(user: UserInfo): authenticationV1.UserInfo {
  return {
    username: user.name,
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.groups.length ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length ? { extra: user.extra } : {}),
  };
}

/** Answers a TokenReview. Tokens that are wrong are an answer (`authenticated` false, with the reason), not an error. */
export async function reviewToken(review: authenticationV1.TokenReview, tokens: TokenAuthenticator, ownAudiences: readonly string[], signal: AbortSignal): Promise<authenticationV1.TokenReview> {
  if (!review.spec.token) throw badRequest('token is required for TokenReview in authentication');
  const asked = review.spec.audiences?.length ? review.spec.audiences : ownAudiences;
  let status: authenticationV1.TokenReviewStatus;
  try {
    const answer = await tokens.authenticateToken(review.spec.token, asked, signal);
    if (!answer) {
      status = { user: {}, error: 'invalid bearer token' };
    } else {
      // An authenticator that knows no audiences vouches for the API server's own only.
      const audiences = answer.audiences ?? ownAudiences;
      const good = asked.filter((a) => audiences.includes(a));
      status = good.length ? { authenticated: true, user: userInfoOf(withAuthenticatedGroup(answer.user)), audiences: good } : { user: {}, error: 'invalid bearer token' };
    }
  } catch (err) {
    status = { user: {}, error: `[invalid bearer token, ${err instanceof Error ? err.message : String(err)}]` };
  }
  return { ...review, kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', status };
}

/** Answers a SelfSubjectReview, of which nothing but the question is heard. `now` in milliseconds. */
export function reviewSelf(user: UserInfo, now: number): authenticationV1.SelfSubjectReview {
  return { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1', metadata: { creationTimestamp: rfc3339(now) }, status: { userInfo: userInfoOf(user) } };
}
