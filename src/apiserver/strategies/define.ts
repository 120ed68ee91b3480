import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import type { Strategy } from '../registry/strategy.ts';

type Rules<T extends KubeObject> = Omit<Strategy<T>, 'resource'>;

/**
 * The strategy of one resource of the table. The registry holds strategies of many kinds in one map, so the kind's
 * own type ends here: the registry hands a strategy only objects that were decoded as its kind.
 */
export function defineStrategy<T extends KubeObject>(group: string, version: string, plural: string, rules: Rules<T>): Strategy {
  const strategy: Strategy<T> = { resource: resourceOf(group, version, plural), ...rules };
  return strategy as unknown as Strategy;
}
