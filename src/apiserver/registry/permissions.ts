/** What a change needs beyond the permission for the request: field by field. Upstream's counterpart: checks of synthetic subresources in strategies. */
import { forbiddenField, type FieldError } from '#machinery/field-errors.ts';
import { forbiddenError } from '../authorization/forbidden.ts';
import type { RequestContext } from '../context.ts';
import type { AuthorizationAttributes } from '../interfaces.ts';
import type { RequiredPermission } from './strategy.ts';

/** The refusals, in the order of what is required. */
export async function permissionErrors({ request, user, services, signal }: RequestContext, required: readonly RequiredPermission[]): Promise<FieldError[]> {
  const errors: FieldError[] = [];
  for (const { path, verbs, message, subresource, namespace, name } of required) {
    const refusals: string[] = [];
    for (const verb of verbs) {
      const attributes: AuthorizationAttributes = { ...request.info, user, verb, subresource, namespace, name };
      const { decision, reason, error } = await services.authorizer.authorize(attributes, signal);
      if (decision === 'allow') break;
      refusals.push(forbiddenError(attributes, error === undefined ? reason : reason === '' ? error : `${error}: ${reason}`).message);
    }
    if (refusals.length === verbs.length) errors.push(forbiddenField(path, `${message}: ${refusals[0]}`));
  }
  return errors;
}
