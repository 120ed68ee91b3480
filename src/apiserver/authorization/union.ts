/** Authorizers in order: the first that decides, decides. */
import type { AuthorizationAttributes, AuthorizationResult, Authorizer, MaybePromise, RuleResolver, SubjectRules, UserInfo } from '../interfaces.ts';

function isPromise<T>(value: MaybePromise<T>): value is Promise<T> {
  return value instanceof Promise;
}
interface Collected {
  readonly reasons: readonly string[];
  readonly errors: readonly string[];
}

export class AuthorizerUnion implements Authorizer, RuleResolver {
  readonly #all: readonly (Authorizer & Partial<RuleResolver>)[];
  constructor(all: readonly (Authorizer & Partial<RuleResolver>)[]) {
    this.#all = all;
  }
  authorize(attributes: AuthorizationAttributes, signal: AbortSignal): MaybePromise<AuthorizationResult> {
    return this.#from(0, { reasons: [], errors: [] }, attributes, signal);
  }
  #from(start: number, before: Collected, attributes: AuthorizationAttributes, signal: AbortSignal): MaybePromise<AuthorizationResult> {
    let so = before;
    for (let i = start; i < this.#all.length; i++) {
      const answer = this.#all[i]!.authorize(attributes, signal);
      if (isPromise(answer)) {
        return answer.then((result) => (result.decision === 'noOpinion' ? this.#from(i + 1, collect(so, result), attributes, signal) : finish(result, so)));
      }
      if (answer.decision !== 'noOpinion') return finish(answer, so);
      so = collect(so, answer);
    }
    return finish({ decision: 'noOpinion', reason: so.reasons.join('\n') }, so);
  }
  async rulesFor(user: UserInfo, namespace: string, signal: AbortSignal): Promise<SubjectRules> {
    const all = await Promise.all(this.#all.flatMap((a) => (a.rulesFor ? [a.rulesFor(user, namespace, signal)] : [])));
    const errors = all.flatMap((r) => r.evaluationError ?? []);
    return {
      resourceRules: all.flatMap((r) => r.resourceRules),
      nonResourceRules: all.flatMap((r) => r.nonResourceRules),
      incomplete: all.some((r) => r.incomplete),
      ...(errors.length ? { evaluationError: errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]` } : {}),
    };
  }
}
function collect(so: Collected, result: AuthorizationResult): Collected {
  return { reasons: result.reason ? [...so.reasons, result.reason] : so.reasons, errors: result.error ? [...so.errors, result.error] : so.errors };
}
function finish(result: AuthorizationResult, so: Collected): AuthorizationResult {
  const errors = [...so.errors, ...(result.decision !== 'noOpinion' && result.error ? [result.error] : [])];
  const { error: _own, ...bare } = result;
  return errors.length ? { ...bare, error: errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]` } : bare;
}
